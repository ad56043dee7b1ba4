// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Numbers of the audit log: types of records, machines, ids that nobody has set.

// records of the kernel and of the audit daemon
export const AUDIT_SYSCALL = 1300;
export const AUDIT_PATH = 1302;
export const AUDIT_IPC = 1303;
export const AUDIT_SOCKETCALL = 1304;
export const AUDIT_CONFIG_CHANGE = 1305;
export const AUDIT_SOCKADDR = 1306;
export const AUDIT_CWD = 1307;
export const AUDIT_EXECVE = 1309;
export const AUDIT_IPC_SET_PERM = 1311;
export const AUDIT_MQ_OPEN = 1312;
export const AUDIT_MQ_SENDRECV = 1313;
export const AUDIT_MQ_NOTIFY = 1314;
export const AUDIT_MQ_GETSETATTR = 1315;
export const AUDIT_KERNEL_OTHER = 1316;
export const AUDIT_FD_PAIR = 1317;
export const AUDIT_OBJ_PID = 1318;
export const AUDIT_TTY = 1319;
export const AUDIT_EOE = 1320;
export const AUDIT_BPRM_FCAPS = 1321;
export const AUDIT_CAPSET = 1322;
export const AUDIT_MMAP = 1323;
export const AUDIT_NETFILTER_PKT = 1324;
export const AUDIT_NETFILTER_CFG = 1325;
export const AUDIT_SECCOMP = 1326;
export const AUDIT_PROCTITLE = 1327;
export const AUDIT_FEATURE_CHANGE = 1328;
export const AUDIT_REPLACE = 1329;
export const AUDIT_KERN_MODULE = 1330;
export const AUDIT_FANOTIFY = 1331;
export const AUDIT_TIME_INJOFFSET = 1332;
export const AUDIT_TIME_ADJNTPVAL = 1333;
export const AUDIT_BPF = 1334;
export const AUDIT_EVENT_LISTENER = 1335;
export const AUDIT_URINGOP = 1336;
export const AUDIT_OPENAT2 = 1337;
export const AUDIT_DM_CTRL = 1338;
export const AUDIT_DM_EVENT = 1339;
export const AUDIT_USER = 1005;
export const AUDIT_LOGIN = 1006;
export const AUDIT_USER_AUTH = 1100;
export const AUDIT_USER_ACCT = 1101;
export const AUDIT_USER_MGMT = 1102;
export const AUDIT_CRED_ACQ = 1103;
export const AUDIT_CRED_DISP = 1104;
export const AUDIT_USER_START = 1105;
export const AUDIT_USER_END = 1106;
export const AUDIT_CRED_REFR = 1110;
export const AUDIT_USER_LOGIN = 1112;
export const AUDIT_USER_CMD = 1123;
export const AUDIT_SYSTEM_BOOT = 1127;
export const AUDIT_SYSTEM_SHUTDOWN = 1128;
export const AUDIT_SERVICE_START = 1130;
export const AUDIT_SERVICE_STOP = 1131;
export const AUDIT_DAEMON_START = 1200;
export const AUDIT_DAEMON_END = 1201;
export const AUDIT_AVC = 1400;
export const AUDIT_ANOM_PROMISCUOUS = 1700;
export const AUDIT_ANOM_ABEND = 1701;
export const AUDIT_ANOM_LINK = 1702;
export const AUDIT_KERNEL = 2000;
export const AUDIT_VIRT_CONTROL = 2500;
export const AUDIT_VIRT_RESOURCE = 2501;
export const AUDIT_VIRT_MACHINE_ID = 2502;
export const AUDIT_VIRT_CREATE = 2504;
export const AUDIT_VIRT_DESTROY = 2505;

// records of the later audit patches. CONTAINER_ID had 1336 there, which is URINGOP today: it is
// written by name and has no number here.
export const AUDIT_CONTAINER_OP = 1020;
export const AUDIT_SIGNAL_INFO2 = 1021;
export const AUDIT_SET_CAPCONTID = 1022;

// machines, as the field arch has them
export const AUDIT_ARCH_X86_64 = -1073741762; // 0xc000003e
export const AUDIT_ARCH_I386 = 0x40000003;

// loginuid and sessionid before anyone has logged in
export const AUDIT_UID_UNSET = -1;
export const AUDIT_SID_UNSET = -1;

// what audit_control() does
export const AUDIT_CTL_ENABLE = 1; // log2 of the ring's words; 0: a default
export const AUDIT_CTL_DISABLE = 2;
export const AUDIT_CTL_BACKLOG_LIMIT = 3; // events that may wait to be drained, 0: no limit
export const AUDIT_CTL_RATE_LIMIT = 4; // events a second of the machine's clock, 0: no limit
export const AUDIT_CTL_VIRT = 5; // 1: VIRT_CONTROL twins
export const AUDIT_CTL_ADD_RULE = 6; // address of an audit_rule
export const AUDIT_CTL_CLEAR_RULES = 7;
export const AUDIT_CTL_PACKET = 8; // address of an audit_packet: an event without a task
export const AUDIT_CTL_CONTAINER_OF = 9; // CLONE_NEW* whose new namespaces become containers
export const AUDIT_CTL_LIMIT_MAX = 0x7fffffff;

// a rule: what to do, and which of its fields count
export const AUDIT_NEVER = 0;
export const AUDIT_ALWAYS = 2;
export const AUDIT_FIELD_CONTID = 1;
export const AUDIT_FIELD_UID = 2;
export const AUDIT_FIELD_LOGINUID = 4;
export const AUDIT_FIELD_SUCCESS = 8;
export const AUDIT_FIELD_PID = 16;
export const AUDIT_FIELD_EXIT = 32;
export const AUDIT_FIELD_ARCH = 64; // compat: 1 i386, 0 x86-64
// syscalls of a rule, a bit for each number below this
export const AUDIT_SYSCALLS = 2048;

// which operation a CONTAINER_OP record is about
export const AUDIT_OP_CREATE = 1;
export const AUDIT_OP_ENTER = 2;
export const AUDIT_OP_SET = 3;
export const AUDIT_OP_SETNS = 4;
export const AUDIT_OP_KILL = 5;
export const AUDIT_OP_DEAD = 6;
export const AUDIT_OP_DROP = 7;
// success= of a SYSCALL record
export const AUDITSC_INVALID = 0;
export const AUDITSC_SUCCESS = 1;
export const AUDITSC_FAILURE = 2;
