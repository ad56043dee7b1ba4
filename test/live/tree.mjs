// Children of a Node program: spawned, forked with a channel, killed, awaited together.
import { execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';

if (process.argv[2] === 'child') {
  process.on('message', (n) => {
    process.send(n * 2);
    process.disconnect();
  });
} else {
  const worker = fork(process.argv[1], ['child']);
  worker.send(21);
  const [answer] = await once(worker, 'message');
  const jobs = Array.from({ length: 4 }, (_, i) => once(spawn('sh', ['-c', `exit ${i}`]), 'exit'));
  const codes = (await Promise.all(jobs)).map(([code]) => code);
  const sleeper = spawn('sleep', ['5']);
  setTimeout(() => sleeper.kill('SIGTERM'), 20);
  const [, signal] = await once(sleeper, 'exit');
  const [out] = await once(execFile('echo', ['done']).stdout, 'data');
  console.log(answer, codes, signal, out.trim());
}
