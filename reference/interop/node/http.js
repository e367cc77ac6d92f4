// The classic sample for node's http module: a clock with ids that count from 0 on every connection, the
// "Connection: keep-alive" that everyone copies, and an interval that nobody clears.
const http = require('http');

http.createServer((req, res) => {
  if (req.headers.accept && req.headers.accept == 'text/event-stream') {
    if (req.url == '/events') {
      sendSSE(req, res);
    } else {
      res.writeHead(404);
      res.end();
    }
  } else {
    res.writeHead(200, {'Content-Type': 'text/html'});
    res.write('<!doctype html><script>new EventSource("/events").onmessage = e => document.body.append(e.data)</script>');
    res.end();
  }
}).listen(process.argv[2], '127.0.0.1');

function sendSSE(req, res) {
  res.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-cache',
    'Connection': 'keep-alive'
  });

  let id = 0;
  setInterval(() => {
    constructSSE(res, id++, new Date().toLocaleTimeString());
  }, 1000);
  constructSSE(res, id++, new Date().toLocaleTimeString());
}

function constructSSE(res, id, data) {
  res.write('id: ' + id + '\n');
  res.write('data: ' + data + '\n\n');
}
