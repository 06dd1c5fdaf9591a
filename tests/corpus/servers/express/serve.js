// Handlers for Express, as tests/corpus/shapes.py names them; everything else about this server is its default.
// Run by the corpus: node serve.js PORT DOWNSTREAM_PORT [CERTIFICATE KEY], with NODE_PATH where Express is.
const { execFileSync } = require('child_process');
const fs = require('fs');
const https = require('https');
const net = require('net');
const { Readable } = require('stream');
const express = require('express');

const [port, downstream, certificate, key] = process.argv.slice(2);
const WORK_MS = 20;
const SLOW_MS = 1000;
const HOUR_MS = 3600 * 1000;
const POLL_SECONDS = 20;
const PART = Buffer.alloc(64 * 1024);
const PARTS = 1024;
const cell = new Int32Array(new SharedArrayBuffer(4));
const hoards = [];
const app = express();

app.get('/ok', function ok(request, response) {
  response.send('ok\n');
});

app.get('/work', function work(request, response) {
  Atomics.wait(cell, 0, 0, WORK_MS);
  response.send('ok\n');
});

app.get('/slow', function slow(request, response) {
  Atomics.wait(cell, 0, 0, SLOW_MS);
  response.send('ok\n');
});

app.get('/lock', function waitForLock(request, response) {
  Atomics.wait(cell, 0, 0);
  response.send('ok\n');
});

app.get('/sleep', function sleep(request, response) {
  Atomics.wait(cell, 0, 0, HOUR_MS);
  response.send('ok\n');
});

app.get('/cpu', function compute() {
  let rounds = 0;
  for (;;) {
    rounds += 1;
  }
});

// Node has no blocking read of a socket: who wants one runs a program and waits for it.
app.get('/downstream', function askDownstream(request, response) {
  const question = `exec 3<>/dev/tcp/127.0.0.1/${downstream}; echo news? >&3; cat <&3`;
  const answer = execFileSync('bash', ['-c', question]);
  response.send(answer);
});

app.get('/fetch', function fetchNews(request, response) {
  const connection = net.connect({ port: downstream, host: '127.0.0.1', allowHalfOpen: true });
  hoards.push(connection);
  connection.write('news?\n');
  connection.on('data', () => {});
  connection.on('end', () => response.send('ok\n'));
});

app.get('/hoard', function openFile(request, response, next) {
  fs.open('/dev/null', (problem, file) => {
    if (problem) return next(problem);
    hoards.push(file);
    return response.send('ok\n');
  });
});

app.get('/longpoll', function poll(request, response) {
  const seconds = Number(request.query.seconds || POLL_SECONDS);
  setTimeout(() => response.send('ok\n'), seconds * 1000);
});

app.get('/download', function download(request, response) {
  Readable.from(Array(PARTS).fill(PART)).pipe(response);
});

const server = certificate
  ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, app).listen(Number(port))
  : app.listen(Number(port));
// /leak: Express knows no upgrades. An upgraded connection is read to its end and closed by nobody.
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: device\r\n\r\n');
  socket.on('data', () => {}).on('error', () => {});
  hoards.push(socket);
});
