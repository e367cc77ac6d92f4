// The usual sample for node's http2 module, in the clear (prior knowledge) or over TLS when a key and a certificate are given. One line is not in it: without an
// error handler a client that resets its connection takes the process down, and what is judged after that is left to chance.
const http2 = require('http2');
const fs = require('fs');

const [port, key, cert] = process.argv.slice(2);
const server = key
  ? http2.createSecureServer({key: fs.readFileSync(key), cert: fs.readFileSync(cert)})
  : http2.createServer();

server.on('stream', (stream, headers) => {
  if (headers[':path'] !== '/events') {
    stream.respond({':status': 404});
    stream.end();
    return;
  }
  stream.respond({
    ':status': 200,
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache'
  });
  let id = 0;
  const timer = setInterval(() => {
    stream.write(`id: ${id++}\ndata: ${new Date().toISOString()}\n\n`);
  }, 1000);
  stream.on('close', () => clearInterval(timer));
  stream.on('error', () => {});
});

server.listen(port, '127.0.0.1');
