/** Takes every mail and keeps none: a bare TCP server that speaks as much SMTP as a client needs, in a process of its own. */

import { createServer, type Socket } from 'node:net';
import { answerParent } from './processes.ts';

let taken = 0;

const server = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  speak(socket);
});

function speak(socket: Socket): void {
  let text = '';
  let inMessage = false;
  socket.write('220 sink\r\n');
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    for (;;) {
      const end = inMessage ? endOfMessage(text) : endOfLine(text);
      if (end < 0) return;
      const line = text.slice(0, end);
      text = text.slice(end);
      if (inMessage) {
        inMessage = false;
        taken += 1;
        socket.write('250 taken\r\n');
      } else if (/^data/i.test(line)) {
        inMessage = true;
        // The next look is for the line with the dot, which may be the first.
        text = `\r\n${text}`;
        socket.write('354 go on\r\n');
      } else if (/^quit/i.test(line)) {
        socket.end('221 bye\r\n');
      } else {
        socket.write('250 ok\r\n');
      }
    }
  });
}

function endOfLine(text: string): number {
  const at = text.indexOf('\r\n');
  return at < 0 ? -1 : at + 2;
}

function endOfMessage(text: string): number {
  const at = text.indexOf('\r\n.\r\n');
  return at < 0 ? -1 : at + 5;
}

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  answerParent({ taken: () => taken });
  process.send?.({ url: `smtp://127.0.0.1:${typeof address === 'object' ? address?.port : ''}` });
});
