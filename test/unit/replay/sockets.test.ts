// Protects: what a replay knows of sockets. Both ends in the log: the kernel decides; an end that
// lies outside shows at the first answer that the kernel alone would not give.
import { expect, it } from 'vitest';
import { replayLog } from './log.ts';

const LO = 'sin_addr=inet_addr("127.0.0.1")';
const at = (port: number, host = LO): string =>
  `{sa_family=AF_INET, sin_port=htons(${port}), ${host}}`;
/** a listener at port 80, descriptor 3, and a child that shares it */
const SERVER = `
  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f0000000000
  socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
  bind(3, ${at(8080)}, 16) = 0
  listen(3, 5) = 0
`;

async function classes(text: string): Promise<Record<string, string>> {
  const { result, wrong } = await replayLog(text);
  expect(wrong).toEqual([]);
  const shown = Object.entries(result.byCall).map(([name, c]) => [
    name,
    c.emulated ? 'emulated' : c.assisted ? 'assisted' : 'unmodelled',
  ]);
  return Object.fromEntries(shown);
}

it("a connection between two traced tasks, in any order, is the kernel's", async () => {
  const of = await classes(`
    ${SERVER}
    clone(child_stack=NULL, flags=SIGCHLD) = 101
    100 accept(3,  <unfinished ...>
    101 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
    101 connect(4, ${at(8080)}, 16 <unfinished ...>
    100 <... accept resumed>${at(40_000)}, [16]) = 4
    101 <... connect resumed>) = 0
    100 recvfrom(4,  <unfinished ...>
    101 sendto(4, "hello", 5, 0, NULL, 0) = 5
    100 <... recvfrom resumed>"hello", 9, 0, NULL, NULL) = 5
    101 close(4) = 0
    100 read(4, "", 9) = 0
    101 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
    101 connect(4, ${at(81)}, 16) = -1 ECONNREFUSED (Connection refused)
  `);
  expect(of).toMatchObject({ connect: 'emulated', accept: 'emulated', recvfrom: 'emulated' });
});

it('a wrong count, a wrong errno is a divergence', async () => {
  const { wrong } = await replayLog(`
    ${SERVER}
    socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
    connect(4, ${at(8080)}, 16) = 0
    accept(3, NULL, NULL) = 5
    sendto(4, "hello", 5, 0, NULL, 0) = 5
    recvfrom(5, "hello", 5, 0, NULL, NULL) = 3
    listen(4, 1) = 0
    accept(4, NULL, NULL) = -1 EBADF (Bad file descriptor)
  `);
  expect(wrong.map((w) => w.split(':')[0])).toEqual(['12']);
});

it("ports of the recorded kernel's choice are adopted", async () => {
  const { wrong, adopted } = await replayLog(`
    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f0000000000
    socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
    bind(3, ${at(0)}, 16) = 0
    listen(3, 5) = 0
    getsockname(3, ${at(45_678)}, [16]) = 0
    socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
    connect(4, ${at(45_678)}, 16) = 0
    accept(3, ${at(50_001)}, [16]) = 5
    socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 6
    bind(6, ${at(0)}, 16) = 0
    getsockname(6, ${at(45_679)}, [16]) = 0
    socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 7
    sendto(7, "ping", 4, 0, ${at(45_679)}, 16) = 4
    recvfrom(6, "ping", 9, 0, ${at(50_002)}, [16]) = 4
    sendto(6, "pong", 4, 0, ${at(50_002)}, 16) = 4
    recvfrom(7, "pong", 9, 0, NULL, NULL) = 4
  `);
  expect(wrong).toEqual([]);
  expect(adopted).toMatchObject({ 'a port': 4 });
});

it("a peer outside makes a socket the world's", async () => {
  const { wrong, result } = await replayLog(`
    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f0000000000
    socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
    connect(3, ${at(443, 'sin_addr=inet_addr("93.184.216.34")')}, 16) = 0
    sendto(3, "GET", 3, 0, NULL, 0) = 3
    recvfrom(3, "HTTP", 4096, 0, NULL, NULL) = 4
    socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 4
    connect(4, {sa_family=AF_UNIX, sun_path="/run/none"}, 110) = -1 ENOENT (No such file)
    connect(4, {sa_family=AF_UNIX, sun_path="/run/other"}, 110) = 0
    recvfrom(4, "x", 10, 0, NULL, NULL) = 1
    close(4) = 0
    close(3) = 0
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall['connect']).toMatchObject({ emulated: 1, assisted: 2 });
  expect(result.byCall['recvfrom']).toMatchObject({ unmodelled: 2 });
});

it('a client from outside is accepted as the log shows', async () => {
  const of = await classes(`
    ${SERVER}
    poll([{fd=3, events=POLLIN}], 1, -1) = 1 ([{fd=3, revents=POLLIN}])
    accept(3, ${at(33_333)}, [16]) = 4
    read(4, "abc", 10) = 3
    close(4) = 0
  `);
  expect(of).toMatchObject({ accept: 'assisted', listen: 'emulated', read: 'unmodelled' });
});

it('in a network namespace of its own nobody is outside', async () => {
  const { wrong } = await replayLog(`
    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f0000000000
    unshare(CLONE_NEWUSER|CLONE_NEWNET) = 0
    socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
    connect(3, ${at(80)}, 16) = -1 ENETUNREACH (Network is unreachable)
    socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = 4
    close(4) = 0
    connect(3, ${at(80)}, 16) = -1 ECONNREFUSED (Connection refused)
    connect(3, ${at(80)}, 16) = 0
  `);
  expect(wrong).toEqual(['9: 0 | -1 ECONNREFUSED']);
});

it('names of unix sockets and whom they reach', async () => {
  const name = '{sa_family=AF_UNIX, sun_path=@"x"}';
  const of = await classes(`
    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f0000000000
    socket(AF_UNIX, SOCK_STREAM, 0) = 3
    bind(3, ${name}, 4) = 0
    listen(3, 1) = 0
    socket(AF_UNIX, SOCK_STREAM, 0) = 4
    connect(4, ${name}, 4) = 0
    accept4(3, {sa_family=AF_UNIX}, [110 => 2], SOCK_CLOEXEC) = 5
    getsockopt(5, SOL_SOCKET, SO_PEERCRED, {pid=100, uid=0, gid=0}, [12]) = 0
    sendto(4, "ab", 2, 0, NULL, 0) = 2
    recvfrom(5, "ab", 9, 0, NULL, NULL) = 2
    close(4) = 0
    recvfrom(5, "", 9, 0, NULL, NULL) = 0
    bind(4, ${name}, 4) = -1 EBADF (Bad file descriptor)
  `);
  expect(of).toMatchObject({ connect: 'emulated', accept4: 'emulated', bind: 'emulated' });
});

it("how much of a large write has gone or arrived is the network's", async () => {
  const { wrong, result } = await replayLog(`
    ${SERVER}
    socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
    connect(4, ${at(8080)}, 16) = 0
    accept(3, NULL, NULL) = 5
    sendto(4, "z"..., 8000000, 0, NULL, 0) = 8000000
    recvfrom(5, "z"..., 65536, 0, NULL, NULL) = 64512
    recvfrom(5, "z"..., 65536, 0, NULL, NULL) = 65536
    sendto(4, "z", 1, 0, NULL, 0) = 1
    recvfrom(5, "z"..., 9000000, 0, NULL, NULL) = 9000000
  `);
  // more than was sent cannot have arrived
  expect(wrong.map((w) => w.split(':')[0])).toEqual(['13']);
  expect(result.byCall['sendto']).toMatchObject({ assisted: 1, emulated: 1 });
});
