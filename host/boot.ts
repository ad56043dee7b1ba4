// Boot parameters, and the words of struct boot_config that they become.

/** Boot parameters; what is left out has Linux's default. */
export interface BootConfig {
  /** numbers run from 1 to this, exclusively; 32768, at most 4194304 */
  pidMax?: number;
  threadsMax?: number;
  /** soft and hard RLIMIT_NOFILE of init; 1024 and 1048576 */
  nofile?: number;
  nofileMax?: number;
  /** false: no containers at all, the calls are ENOSYS */
  containers?: boolean;
  /** /proc/containers as the postings of 2019 (with ids) or of 2017 have it */
  procContainers?: 2017 | 2019;
  /** how deep containers nest, 32; how many there may be in all, and of one user's making */
  containerDepthMax?: number;
  containersMax?: number;
  containersPerUser?: number;
  /** namespaces of each type that each user may have; half of threadsMax */
  namespacesMax?: number;
  /**
   * what the first process's root directory is: the world's, whose paths the host answers for
   * (default), or a file system in the kernel's memory
   */
  root?: 'world' | 'ramfs';
  /** pages of 4 KiB and inodes of each file system in memory; mounts of each namespace */
  fsPagesMax?: number;
  fsInodesMax?: number;
  mountsMax?: number;
  /** which kinds of events are wanted: bit per EVENT_*; all by default */
  events?: number;
  clockNs?: bigint;
}

/** The words of struct boot_config. */
export function bootWords(config: BootConfig): number[] {
  return [
    config.pidMax ?? 0,
    config.threadsMax ?? 0,
    config.nofile ?? 0,
    config.nofileMax ?? 0,
    config.containerDepthMax ?? 0,
    config.containersMax ?? 0,
    config.events ?? 0xffffffff,
    0,
    config.containersPerUser ?? 0,
    config.containers === false ? 1 : 0,
    config.procContainers === 2017 ? 1 : 0,
    config.namespacesMax ?? 0,
    config.root === 'ramfs' ? 1 : 0,
    config.fsPagesMax ?? 0,
    config.fsInodesMax ?? 0,
    config.mountsMax ?? 0,
  ];
}

export type KernelTarget = 'release' | 'debug' | 'smp';

export interface CreateOptions {
  /** default `release` */
  target?: KernelTarget;
  /** the module, where the host cannot find it by itself (browsers, bundles) */
  wasm?: BufferSource | WebAssembly.Module;
  boot?: BootConfig;
}
