// Handlers for Node's http, as tests/corpus/shapes.py names them; everything else about this server is its default.
// Run by the corpus: node serve.js PORT DOWNSTREAM_PORT [CERTIFICATE KEY].
const { execFileSync } = require('child_process');
const fs = require('fs');
const http = require('http');
const https = require('https');
const net = require('net');

const [port, downstream, certificate, key] = process.argv.slice(2);
const WORK_MS = 20;
const SLOW_MS = 1000;
const POLL_SECONDS = 20;
const DOWNLOAD_BYTES = 64 * 1024 * 1024;
const cell = new Int32Array(new SharedArrayBuffer(4));
const hoards = [];

// Waits as a synchronous call does: the loop serves nobody meanwhile.
const block = (ms) => Atomics.wait(cell, 0, 0, ms);

function fetch(response) {
  const connection = net.connect({ port: downstream, host: '127.0.0.1', allowHalfOpen: true });
  hoards.push(connection);
  connection.write('news?\n');
  connection.on('data', () => {}).on('end', () => response.end('ok\n'));
}

function hoard(response) {
  fs.open('/dev/null', (problem, file) => {
    hoards.push(file);
    response.statusCode = problem ? 500 : 200;
    response.end(problem ? `${problem.message}\n` : 'ok\n');
  });
}

function download(response) {
  const part = Buffer.alloc(64 * 1024);
  let left = DOWNLOAD_BYTES;
  (function send() {
    while (left > 0) {
      left -= part.length;
      if (!response.write(part)) return response.once('drain', send);
    }
    return response.end();
  })();
}

function poll(response, seconds) {
  setTimeout(() => response.end('ok\n'), Number(seconds || POLL_SECONDS) * 1000);
}

// Node has no blocking read of a socket: who wants one runs a program and waits for it.
function ask() {
  return execFileSync('bash', ['-c', `exec 3<>/dev/tcp/127.0.0.1/${downstream}; echo news? >&3; cat <&3`]);
}

const handlers = {
  '/ok': (response) => response.end('ok\n'),
  '/work': (response) => { block(WORK_MS); response.end('ok\n'); },
  '/slow': (response) => { block(SLOW_MS); response.end('ok\n'); },
  '/lock': () => block(),
  '/sleep': () => block(3600 * 1000),
  '/cpu': () => { for (;;); },
  '/downstream': (response) => response.end(ask()),
  '/fetch': fetch,
  '/hoard': hoard,
  '/longpoll': poll,
  '/download': download,
};

function serve(request, response) {
  const url = new URL(request.url, 'http://localhost');
  const handler = handlers[url.pathname];
  if (handler) return handler(response, url.searchParams.get('seconds'));
  response.statusCode = 404;
  return response.end('not found\n');
}

const server = certificate
  ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, serve)
  : http.createServer(serve);
// /leak: an upgraded connection is read to its end and closed by nobody.
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: device\r\n\r\n');
  socket.on('data', () => {}).on('error', () => {});
  hoards.push(socket);
});
server.listen(Number(port));
