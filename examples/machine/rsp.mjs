// The remote protocol of gdbserver, as much of it as stopping at system calls needs.
import { connect } from 'node:net';

/** A packet's text with its frame: `$text#checksum`. */
export function frame(text) {
  let sum = 0;
  for (const char of text) sum = (sum + char.charCodeAt(0)) & 0xff;
  return `$${text}#${sum.toString(16).padStart(2, '0')}`;
}

/** What a reply stands for: `}` escapes a character, `*` repeats the one before it. */
export function expand(text) {
  let all = '';
  for (let i = 0; i < text.length; ++i) {
    if (text[i] === '}') all += String.fromCharCode(text.charCodeAt(++i) ^ 0x20);
    else if (text[i] === '*') all += all.at(-1).repeat(text.charCodeAt(++i) - 29);
    else all += text[i];
  }
  return all;
}

export class Rsp {
  #socket;
  #received = '';
  #acknowledges = true;
  /** who waits for the next replies, in order */
  #waiting = [];
  #ended;

  constructor(socket) {
    this.#socket = socket;
    socket.setEncoding('latin1').setNoDelay(true);
    socket.on('data', (text) => this.#take(text));
    socket.on('error', (cause) => this.#end(cause));
    socket.on('close', () => this.#end(new Error('gdbserver has closed the connection')));
  }

  static async connect(port) {
    const socket = connect({ host: '127.0.0.1', port });
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    const client = new Rsp(socket);
    await client.expect('QStartNoAckMode', 'OK');
    client.#acknowledges = false;
    return client;
  }

  /** Sends a packet. Return: its reply, which may take as long as the program runs. */
  request(text) {
    if (this.#ended) return Promise.reject(this.#ended);
    this.#socket.write(frame(text), 'latin1');
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** The same, where only one reply will do. */
  async expect(text, wanted) {
    const reply = await this.request(text);
    if (reply !== wanted) throw new Error(`gdbserver answers ${text} with ${reply || 'nothing'}`);
  }

  close() {
    this.#socket.destroy();
  }

  #take(text) {
    this.#received += text;
    // what stands before a packet are acknowledgements
    for (let match; (match = /^[^$]*\$([^#]*)#(..)/s.exec(this.#received));) {
      this.#received = this.#received.slice(match[0].length);
      const whole = frame(match[1]).endsWith(`#${match[2].toLowerCase()}`);
      if (this.#acknowledges) this.#socket.write(whole ? '+' : '-');
      if (whole) this.#waiting.shift()?.resolve(expand(match[1]));
      else if (!this.#acknowledges) this.#end(new Error('a packet of gdbserver is damaged'));
    }
  }

  #end(cause) {
    this.#ended ??= cause;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}
