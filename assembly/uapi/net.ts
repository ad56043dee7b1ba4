// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Networks: addresses, ports, interfaces, the socket options of inet.
export const IPPROTO_IP = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_RAW = 255;
export const IPPROTO_MAX = 263;
export const TCP_NODELAY = 1;
export const IPV6_V6ONLY = 26;
export const IP_TOS = 1;
export const IP_TTL = 2;
/** Bytes of struct sockaddr_in, sockaddr_in6, sockaddr_nl. */
export const SOCKADDR_IN_BYTES = 16;
export const SOCKADDR_IN6_BYTES = 28;
/** The shortest sockaddr_in6 that is taken: without the scope. */
export const SIN6_LEN_RFC2133 = 24;
export const SOCKADDR_NL_BYTES = 12;
/** Ports below this one need CAP_NET_BIND_SERVICE. */
export const PROT_SOCK = 1024;
/** net.ipv4.ip_local_port_range. */
export const LOCAL_PORT_FIRST = 32768;
export const LOCAL_PORT_LAST = 60999;
/** net.core.somaxconn. */
export const SOMAXCONN = 4096;
/** net.unix.max_dgram_qlen. */
export const MAX_DGRAM_QLEN = 10;
/** Most bytes of a UDP message over IPv4 and over IPv6. */
export const UDP_MAX = 65507;
export const UDP6_MAX = 65527;
export const IFF_UP = 1;
export const IFF_BROADCAST = 2;
export const IFF_LOOPBACK = 8;
export const IFF_POINTOPOINT = 0x10;
export const IFF_NOTRAILERS = 0x20;
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_PROMISC = 0x100;
export const IFF_ALLMULTI = 0x200;
export const IFF_MULTICAST = 0x1000;
export const IFF_LOWER_UP = 0x10000;
export const ARPHRD_ETHER = 1;
export const ARPHRD_LOOPBACK = 772;
export const LOOPBACK_MTU = 65536;
export const ETH_MTU = 1500;
export const IFNAMSIZ = 16;
// ioctl(2).
export const SIOCGIFNAME = 0x8910;
export const SIOCGIFCONF = 0x8912;
export const SIOCGIFFLAGS = 0x8913;
export const SIOCSIFFLAGS = 0x8914;
export const SIOCGIFADDR = 0x8915;
export const SIOCSIFADDR = 0x8916;
export const SIOCGIFBRDADDR = 0x8919;
export const SIOCGIFNETMASK = 0x891b;
export const SIOCGIFMTU = 0x8921;
export const SIOCSIFMTU = 0x8922;
export const SIOCSIFNAME = 0x8923;
export const SIOCGIFHWADDR = 0x8927;
export const SIOCGIFINDEX = 0x8933;
export const SIOCGIFTXQLEN = 0x8942;
