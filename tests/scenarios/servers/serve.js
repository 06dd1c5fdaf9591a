// Handlers for Node's http server: /work blocks the loop for 10 ms, /stuck for ever. An upgraded connection is read
// and forgotten: nobody ends it when the client has left.
const http = require('http');
const cell = new Int32Array(new SharedArrayBuffer(4));

http.createServer((request, response) => {
  if (request.url === '/stuck') Atomics.wait(cell, 0, 0);
  if (request.url === '/work') Atomics.wait(cell, 0, 0, 10);
  response.end('ok\n');
}).on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: device\r\n\r\n');
  socket.on('data', () => {});
}).listen(Number(process.argv[2]));
