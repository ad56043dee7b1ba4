// Socket addresses of SOCKADDR records: `saddr=` and a hexadecimal struct sockaddr.
import { unhex } from './fields.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;

/** An address, as far as it is understood. */
export interface SocketAddress {
  family: number;
  /** path of a unix socket; an abstract one begins with @ */
  path?: string;
  /** address and port of an internet socket */
  host?: string;
  port?: number;
}

/** An IPv6 address as people write it: the longest run of zero words is left out. */
function ip6(bytes: string): string {
  const words = Array.from(
    { length: 8 },
    (_, i) => (bytes.charCodeAt(2 * i) << 8) | bytes.charCodeAt(2 * i + 1),
  );
  let from = -1;
  let longest = 1;
  for (let i = 0; i < 8; ++i) {
    let n = 0;
    while (words[i + n] === 0) n += 1;
    if (n > longest) [from, longest] = [i, n];
  }
  const hex = words.map((word) => word.toString(16));
  if (from < 0) return hex.join(':');
  return `${hex.slice(0, from).join(':')}::${hex.slice(from + longest).join(':')}`;
}

/** Decodes `saddr=`. undefined when it is no hexadecimal address. */
export function decodeSaddr(hex: string | undefined): SocketAddress | undefined {
  const bytes = hex === undefined ? undefined : unhex(hex);
  if (bytes === undefined || bytes.length < 2) return undefined;
  const family = bytes.charCodeAt(0) | (bytes.charCodeAt(1) << 8);
  const port = (bytes.charCodeAt(2) << 8) | bytes.charCodeAt(3);
  if (family === AF_UNIX) {
    const path = bytes.slice(2);
    const abstract = path.charCodeAt(0) === 0 && path.length > 1;
    const name = abstract ? `@${path.slice(1)}` : path;
    const end = name.indexOf('\0');
    return { family, path: end < 0 ? name : name.slice(0, end) };
  }
  if (family === AF_INET && bytes.length >= 8) {
    const host = Array.from(bytes.slice(4, 8), (c) => c.charCodeAt(0)).join('.');
    return { family, host, port };
  }
  if (family === AF_INET6 && bytes.length >= 24) {
    return { family, host: ip6(bytes.slice(8, 24)), port };
  }
  return { family };
}

/** An address as a recorder of system calls would print it. */
export function showSaddr(address: SocketAddress): string {
  const { family, path, host, port } = address;
  if (path !== undefined) return `{sa_family=AF_UNIX, sun_path=${JSON.stringify(path)}}`;
  if (host !== undefined) {
    const name = family === AF_INET ? 'AF_INET' : 'AF_INET6';
    return `{sa_family=${name}, addr="${host}", port=${port ?? 0}}`;
  }
  return `{sa_family=${family === AF_NETLINK ? 'AF_NETLINK' : family}}`;
}
