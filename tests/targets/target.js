// Serves as tests/targets/__init__.py says: node target.js [blocked]. A handler that stalls blocks its only loop;
// "blocked" does so before anybody has come.
const net = require('net');

function stall() {
  for (;;);
}

const server = net.createServer((client) => {
  client.on('error', () => {});
  client.once('data', (first) => {
    if (first[0] === 's'.charCodeAt(0)) stall();
    client.end('ok\n');
  });
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`up ${server.address().port}\n`, () => {
    if (process.argv[2] === 'blocked') stall();
  });
});
