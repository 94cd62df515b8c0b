/** Error numbers of Linux as names and words. The numbers are those of x86_64 and arm64. */

const rows: readonly (readonly [number: number, name: string, words: string])[] = [
  [1, "EPERM", "operation not permitted"],
  [2, "ENOENT", "no such file or directory"],
  [3, "ESRCH", "no such process"],
  [4, "EINTR", "interrupted"],
  [5, "EIO", "input/output error"],
  [6, "ENXIO", "no such device or address"],
  [7, "E2BIG", "arguments too long"],
  [8, "ENOEXEC", "not a format that the kernel executes"],
  [9, "EBADF", "bad descriptor"],
  [10, "ECHILD", "the program failed"],
  [11, "EAGAIN", "resource temporarily unavailable"],
  [12, "ENOMEM", "out of memory"],
  [13, "EACCES", "permission denied"],
  [14, "EFAULT", "bad address"],
  [15, "ENOTBLK", "not a block device"],
  [16, "EBUSY", "device or resource busy"],
  [17, "EEXIST", "exists already"],
  [18, "EXDEV", "crosses a filesystem"],
  [19, "ENODEV", "not known to this kernel"],
  [20, "ENOTDIR", "not a directory"],
  [21, "EISDIR", "is a directory"],
  [22, "EINVAL", "invalid argument"],
  [23, "ENFILE", "too many open files on the machine"],
  [24, "EMFILE", "too many open files"],
  [26, "ETXTBSY", "the file is being written"],
  [27, "EFBIG", "file too large"],
  [28, "ENOSPC", "no space left on the device"],
  [30, "EROFS", "read-only filesystem"],
  [31, "EMLINK", "too many links"],
  [32, "EPIPE", "broken pipe"],
  [34, "ERANGE", "out of range"],
  [36, "ENAMETOOLONG", "name too long"],
  [38, "ENOSYS", "not implemented by this kernel"],
  [39, "ENOTEMPTY", "directory not empty"],
  [40, "ELOOP", "too many symbolic links"],
  [61, "ENODATA", "no data"],
  [71, "EPROTO", "protocol error"],
  [74, "EBADMSG", "malformed message"],
  [75, "EOVERFLOW", "value too large"],
  [80, "ELIBBAD", "accessing a corrupted shared library"],
  [87, "EUSERS", "too many users"],
  [95, "EOPNOTSUPP", "not supported"],
  [110, "ETIMEDOUT", "timed out"],
  [111, "ECONNREFUSED", "connection refused"],
  [116, "ESTALE", "stale file handle"],
  [117, "EUCLEAN", "the filesystem's structure needs cleaning"],
  [122, "EDQUOT", "quota exceeded"],
  [123, "ENOMEDIUM", "no medium found"],
  [126, "ENOKEY", "required key not available"],
];

export interface ErrnoText {
  /** `EPERM`; `errno 200` where this table does not know it. */
  readonly name: string;
  readonly words: string;
}

export function errnoText(number: number): ErrnoText {
  const row = rows.find(([each]) => each === number);
  return row === undefined
    ? { name: `errno ${number}`, words: `error ${number}` }
    : { name: row[1], words: row[2] };
}
