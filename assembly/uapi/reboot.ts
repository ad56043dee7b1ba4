// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Magic numbers and commands of reboot(2), as 32-bit values.
export const LINUX_REBOOT_MAGIC1 = -0x11e2153;
export const LINUX_REBOOT_MAGIC2 = 672274793;
export const LINUX_REBOOT_CMD_CAD_OFF = 0;
export const LINUX_REBOOT_CMD_CAD_ON = -0x76543211;
export const LINUX_REBOOT_CMD_RESTART = 0x01234567;
export const LINUX_REBOOT_CMD_RESTART2 = -0x5e4d3c2c;
export const LINUX_REBOOT_CMD_HALT = -0x3210fedd;
export const LINUX_REBOOT_CMD_POWER_OFF = 0x4321fedc;
