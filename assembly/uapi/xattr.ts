// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Extended attributes (xattr(7)) and handles of files (open_by_handle_at(2)).
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;
export const XATTR_NAME_MAX = 255;
export const XATTR_SIZE_MAX = 65536;
export const XATTR_LIST_MAX = 65536;
export const VFS_CAP_REVISION_MASK = -0x1000000;
export const VFS_CAP_REVISION_2 = 0x2000000;
export const VFS_CAP_REVISION_3 = 0x3000000;
export const XATTR_CAPS_SZ_2 = 20;
export const XATTR_CAPS_SZ_3 = 24;
export const MAX_HANDLE_SZ = 128;
/** struct file_handle without what it points out. */
export const HANDLE_HEAD = 8;
/** What tmpfs makes of an inode: its generation and number. */
export const HANDLE_BYTES = 12;
export const HANDLE_TYPE = 1;
/** What any file system makes of one that is not to be opened. */
export const HANDLE_FID = 0x81;
export const HANDLE_INVALID = 0xff;
export const HANDLE_TYPE_MAX = 0xffff;
export const AT_HANDLE_MNT_ID_UNIQUE = 1;
export const AT_HANDLE_FID = 0x200;
