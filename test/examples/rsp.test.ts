// Protects: the example's client of gdbserver speaks the remote protocol: frames, acknowledgements,
// checksums, escapes, runs, replies in pieces and in order.
import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { parseRegisters } from '../../examples/machine/native.mjs';
import { expand, frame, Rsp } from '../../examples/machine/rsp.mjs';

let server: Server | undefined;
let client: Rsp | undefined;
afterEach(() => {
  client?.close();
  server?.close();
});

/** A server that answers each packet by `answer`; what it heard is in `heard`. */
async function serve(answer: (text: string, socket: Socket) => void): Promise<string[]> {
  const heard: string[] = [];
  server = createServer((socket) => {
    let received = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
      for (let match; (match = /^\$([^#]*)#..|^[+-]/.exec(received));) {
        received = received.slice(match[0].length);
        heard.push(match[0]);
        if (match[1] !== undefined) answer(match[1], socket);
      }
    });
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return heard;
}

const connect = async (): Promise<Rsp> => {
  client = await Rsp.connect((server!.address() as AddressInfo).port);
  return client;
};
const ok = (text: string, socket: Socket): void => {
  if (text === 'QStartNoAckMode') socket.write(`+${frame('OK')}`, 'latin1');
};

describe('frames', () => {
  it('end with the sum of their bytes', () => {
    expect(frame('OK')).toBe('$OK#9a');
    expect(frame('')).toBe('$#00');
  });

  it('shorten runs and escape what frames are made of', () => {
    expect(expand('0* ')).toBe('0000');
    expect(expand('a0*"b')).toBe('a000000b');
    expect(expand('}\x03}]x')).toBe('#}x');
    expect(expand('}\x0a*!')).toBe('*****');
  });
});

describe('a client', () => {
  it('acknowledges until it has been agreed not to', async () => {
    const heard = await serve((text, socket) => {
      if (text === 'x') socket.write(frame('y'));
      ok(text, socket);
    });
    const rsp = await connect();
    expect(await rsp.request('x')).toBe('y');
    expect(heard).toEqual([frame('QStartNoAckMode'), '+', frame('x')]);
  });

  it('asks again for a damaged packet while it acknowledges', async () => {
    let times = 0;
    const heard = await serve((_text, socket) => {
      if (times++ === 0) socket.write('+$OK#00');
      setTimeout(() => socket.write(frame('OK')), 5);
    });
    await connect();
    expect(heard.slice(0, 2)).toEqual([frame('QStartNoAckMode'), '-']);
  });

  it('takes replies in any number of pieces, and in order', async () => {
    await serve((text, socket) => {
      ok(text, socket);
      if (text !== 'second') return;
      const all = frame('one') + frame('2* ') + frame('');
      for (const [i, char] of [...all].entries()) setTimeout(() => socket.write(char, 'latin1'), i);
    });
    const rsp = await connect();
    const replies = ['first', 'second', 'third'].map((text) => rsp.request(text));
    expect(await Promise.all(replies)).toEqual(['one', '2222', '']);
  });

  it('says which answer was wrong, and which connection is gone', async () => {
    await serve((text, socket) => {
      ok(text, socket);
      if (text === 'G00') socket.write(frame('E01'));
      if (text === 'bad') socket.write('$x#00');
      if (text === 'bye') socket.destroy();
    });
    const rsp = await connect();
    await expect(rsp.expect('G00', 'OK')).rejects.toThrow('gdbserver answers G00 with E01');
    await expect(rsp.request('bye')).rejects.toThrow('closed the connection');
    await expect(rsp.request('more')).rejects.toThrow('closed the connection');
    const other = await connect();
    await expect(other.request('bad')).rejects.toThrow('damaged');
  });
});

it('the target’s description says where each register lies', () => {
  const xml = `<target><feature><reg name="rax" bitsize="64" type="int64"/>
    <reg name="eflags" bitsize="32"/><reg name="st0" bitsize="80"/>
    <reg name="orig_rax" bitsize="64" regnum="57"/></feature></target>`;
  expect([...parseRegisters(xml)]).toEqual([
    ['rax', { at: 0, size: 8 }],
    ['rflags', { at: 8, size: 4 }],
    ['st0', { at: 12, size: 10 }],
    ['orig_rax', { at: 22, size: 8 }],
  ]);
});
