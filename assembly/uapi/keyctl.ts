// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Keys (keyctl(2)); the numbers above 32 are those of the 2019 container series.
export const KEY_SPEC_THREAD_KEYRING = -1;
export const KEY_SPEC_PROCESS_KEYRING = -2;
export const KEY_SPEC_SESSION_KEYRING = -3;
export const KEY_SPEC_USER_KEYRING = -4;
export const KEY_SPEC_USER_SESSION_KEYRING = -5;
export const KEY_SPEC_GROUP_KEYRING = -6;
export const KEY_SPEC_REQKEY_AUTH_KEY = -7;
export const KEYCTL_GET_KEYRING_ID = 0;
export const KEYCTL_JOIN_SESSION_KEYRING = 1;
export const KEYCTL_UPDATE = 2;
export const KEYCTL_REVOKE = 3;
export const KEYCTL_CHOWN = 4;
export const KEYCTL_SETPERM = 5;
export const KEYCTL_DESCRIBE = 6;
export const KEYCTL_CLEAR = 7;
export const KEYCTL_LINK = 8;
export const KEYCTL_UNLINK = 9;
export const KEYCTL_SEARCH = 10;
export const KEYCTL_READ = 11;
export const KEYCTL_SET_REQKEY_KEYRING = 14;
export const KEYCTL_SET_TIMEOUT = 15;
export const KEYCTL_GET_SECURITY = 17;
export const KEYCTL_INVALIDATE = 21;
export const KEYCTL_RESTRICT_KEYRING = 29;
export const KEYCTL_MOVE = 30;
export const KEYCTL_CAPABILITIES = 31;
export const KEYCTL_SET_CONTAINER_KEYRING = 35;
export const KEYCTL_GRANT_PERMISSION = 36;
export const KEYCTL_MOVE_EXCL = 1;
// Default destination of keys that request_key makes.
export const KEY_REQKEY_DEFL_NO_CHANGE = -1;
export const KEY_REQKEY_DEFL_GROUP_KEYRING = 6;
export const KEY_REQKEY_DEFL_REQUESTOR_KEYRING = 7;
// Permissions of one class; classes by shift: possessor 24, user 16, group 8, others 0.
export const KEY_NEED_VIEW = 0x01;
export const KEY_NEED_READ = 0x02;
export const KEY_NEED_WRITE = 0x04;
export const KEY_NEED_SEARCH = 0x08;
export const KEY_NEED_LINK = 0x10;
export const KEY_NEED_SETATTR = 0x20;
export const KEY_PERM_ALL = 0x3f3f3f3f;
export const KEY_POS_ALL = 0x3f000000;
export const KEY_POS_VIEW = 0x01000000;
export const KEY_POS_READ = 0x02000000;
export const KEY_POS_WRITE = 0x04000000;
export const KEY_POS_SEARCH = 0x08000000;
export const KEY_POS_LINK = 0x10000000;
export const KEY_POS_SETATTR = 0x20000000;
export const KEY_USR_ALL = 0x003f0000;
export const KEY_USR_VIEW = 0x00010000;
export const KEY_USR_READ = 0x00020000;
export const KEY_USR_LINK = 0x00100000;
// Subjects of KEYCTL_GRANT_PERMISSION.
export const KEY_ACE_SUBJ_STANDARD = 0;
export const KEY_ACE_SUBJ_CONTAINER = 1;
export const KEY_ACE_EVERYONE = 0;
export const KEY_ACE_GROUP = 1;
export const KEY_ACE_OWNER = 2;
export const KEY_ACE_POSSESSOR = 3;
// Quotas: keys and bytes of a user, and of root.
export const KEY_QUOTA_KEYS = 200;
export const KEY_QUOTA_BYTES = 20000;
export const KEY_QUOTA_ROOT_KEYS = 1000000;
export const KEY_QUOTA_ROOT_BYTES = 25000000;
// What a link in a keyring costs of its owner's bytes.
export const KEY_QUOTA_LINK_BYTES = 4;
export const KEY_MAX_DESC = 4096;
export const KEY_PAYLOAD_MAX = 1048575;
export const KEY_USER_PAYLOAD_MAX = 32767;
// Keyrings are searched this deep.
export const KEYRING_SEARCH_MAX_DEPTH = 6;
