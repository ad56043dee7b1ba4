// What the specification of container objects lists: every system, flag, errno and defect, by a key
// that tests name in `spec:` comments.

/** A call and its errnos: one row each. */
function call(name, errnos) {
  return errnos.split(' ').map((errno) => ({ key: `${name} ${errno}` }));
}

/** Rows without more to say than their names. */
function rows(keys) {
  return keys
    .trim()
    .split(/\s*[;\n]\s*/)
    .map((key) => ({ key }));
}

/** The defects of the posted patch: what happens there. */
const DEFECTS = [
  'poll sleeps for ever when init dies',
  'even the wake of the wrong queue can be lost',
  'KILL_ON_CLOSE does nothing',
  "every create leaks an fs_struct and pins the creator's working directory",
  'no privilege is needed for new namespaces',
  "NEW_EMPTY_FS_NS shares the parent's mounts",
  "nested containers survive the parent's death",
  "init's leader by pthread_exit, or an exec by another thread, kills the container",
  'each thread is a member',
  "a nested pid namespace's init is not killed",
  'si_pid of the kill is the victim itself',
  'the exit code can differ from the wait status',
  'a failed first fork kills the container for good',
  'a half-built child gets signals',
  'the race of list and DEAD, which is none',
  'DEAD is seen long before the members are gone',
  'an error pointer is tested for null',
  'a container with no references is still on a list',
  'the free hook runs without the alloc hook',
  'a lock is copied by value',
  'the uid changes, the accounting does not',
  'no limit of depth and number',
  'every fork of an uncontained task takes one global lock',
  'create under a dead parent succeeds',
  'no way to wait, and none back to a container',
  'membership and namespaces get out of step',
  'files are closed after the container has ended',
  "a dirfd leads out of the container's root",
  'a socket is made in the wrong network namespace',
  'the cred is copied without its references',
  'names forge rows and records',
  'holding the descriptor is all that is ever checked',
  'the example cannot run on its own kernel',
  'the comments contradict each other',
  "the caller's descriptors leak into the container",
  'entry returns 0 to the parent',
  'a passed descriptor gives the privileges of its creator',
];

export const SPEC = [
  [
    'Calls and their errnos',
    [
      ...call(
        'container_create',
        'EINVAL EFAULT ENAMETOOLONG EMFILE ENOSPC EPERM ENOMEM ECANCELED ENOSYS',
      ),
      ...call(
        'fork_into_container',
        'EBADF EINVAL EPERM ENOENT ECANCELED EAGAIN EINTR ENOMEM ENOSYS',
      ),
      ...call('container_wait', 'EBADF EINVAL EPERM EFAULT ECANCELED EINTR ENOMEM ENOSYS'),
      ...call('container_kill', 'EBADF EINVAL ESRCH EPERM ENOSYS'),
      ...call('container_open', 'EINVAL ENOENT EPERM EMFILE ENOSYS'),
      ...call('container_supervise', 'EBADF EINVAL EPERM EBUSY ENOSYS'),
      ...call('container_devices', 'EBADF EINVAL EPERM EFAULT EBUSY ENOMEM ENOSYS'),
      ...call('container_add_key', 'EBADF EINVAL EPERM ENODEV EFAULT EDQUOT ENOMEM ENOSYS'),
      ...call(
        'container_socket',
        'EBADF EINVAL EPERM EAFNOSUPPORT EPROTONOSUPPORT ESOCKTNOSUPPORT EMFILE ENOMEM ENOSYS',
      ),
      ...call('container_mount', 'EBADF EINVAL EPERM EBUSY ENODEV'),
      ...call('container_chroot', 'EBADF EINVAL EPERM EBUSY ENOENT'),
      ...call('container_bind_mount_across', 'EBADF EINVAL EPERM EBUSY'),
      ...call('fsopen', 'ENODEV EPERM EINVAL'),
      ...call('fsmount', 'EBADF EPERM EINVAL'),
      ...rows('openat mkdirat mknodat with a container as dirfd; fchdir ENOTDIR'),
    ],
  ],
  [
    'Flags',
    [
      ...rows(`CONTAINER_NEW_FS_NS; CONTAINER_NEW_EMPTY_FS_NS; CONTAINER_NEW_CGROUP_NS
        CONTAINER_NEW_UTS_NS; CONTAINER_NEW_IPC_NS; CONTAINER_NEW_USER_NS; CONTAINER_NEW_PID_NS
        CONTAINER_NEW_NET_NS; CONTAINER_KILL_ON_CLOSE; CONTAINER_FD_CLOEXEC
        CONTAINER__FLAG_MASK; the example's mask 0x3f9; container_create flags are 32 bits
        INIT_STARTED; DEAD; KILL_ON_CLOSE
        container_wait WNOHANG; container_wait WNOWAIT; container_kill initonly`),
    ],
  ],
  [
    'What calls mean',
    [
      ...rows(`parent is the caller's container; container_create credentials; id; init_container
        container_create EINVAL by a pid namespace of its own
        fork_into_container attributes; second entry adds a member
        close before the start destroys; init's death kills the members
        container_wait several waiters; container_wait rusage; container_open
        no escape by forking; a pid namespace's init and signals from outside
        POLLHUP; POLLIN; POLLRDHUP; poll of a container that is never started
        container:[ino]; fstat identity; fstatfs magic; containerfs magic; the i386 layouts
        read and write EBADF; lseek ESPIPE; ioctl ENOTTY; mmap EACCES
        dup shares one open file; epoll of a container; select of a container
        passing a container's descriptor
        LSM hook container_alloc; LSM hook container_free
        supervision; supervision answers errno, value or continue; supervisor gone
        supervision by the host
        devices by type, major and minor; enforced on mknod and open
        devices are inherited by intersection; an empty list allows none
        add_key; session, process and thread keyrings; key quotas
        per-container keyring; container_add_key; container cred drops keyrings
        keyctl GRANT_PERMISSION; keyctl SET_CONTAINER_KEYRING
        container keys live as long as the container
        /proc/containers of 2019; /proc/containers of 2017; /proc/PID/container
        /proc/PID/status; /proc/PID/stat; no row is forged
        no task sees a container that it should not
        the example program as machine code; the example program on the real processor
        random programs of all calls`),
    ],
  ],
  [
    'Who may, and how many',
    [
      ...rows(`flags 0 need no privilege; create with NEW_* needs CAP_SYS_ADMIN
        create with NEW_USER_NS needs nothing; enter needs the creator or CAP_SYS_ADMIN
        wait needs the creator or CAP_SYS_ADMIN; kill needs the rule of kill(2)
        depth limit; number per user
        setting and reading an audit container id needs CAP_AUDIT_CONTROL`),
    ],
  ],
  [
    'Audit',
    [
      ...rows(`op=create; op=enter; op=set; op=setns; op=kill; op=dead; op=drop; CONTAINER_ID
        audit_containerid; audit_capcontainerid; containers of a network namespace`),
      ...call(
        'audit_containerid',
        'ESRCH EINVAL EFAULT ERANGE ENOPROTOOPT EPERM EBUSY EXDEV EEXIST ENOTUNIQ ENOMEM',
      ),
    ],
  ],
  ['Defects of the posted patch', DEFECTS.map((what, i) => ({ key: `D-${i + 1}`, what }))],
];
