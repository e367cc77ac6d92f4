// Node's http module with the tutorials' mistakes mended: HEAD is answered, the head goes out at once, ids belong to events and not to
// connections, Last-Event-ID is honoured and an id that cannot be is said to be a gap, data is split at every kind of line end, the interval ends with its
// connection.
const http = require('http');

const clients = new Set();
const history = [];
let lastId = 0;

function publish(data) {
  const lines = data.split(/\r\n|\r|\n/).map((line) => 'data: ' + line + '\n').join('');
  const event = {id: ++lastId, text: 'id: ' + lastId + '\n' + lines + '\n'};
  history.push(event);
  if (history.length > 1000) {
    history.shift();
  }
  for (const res of clients) {
    res.write(event.text);
  }
}

http.createServer((req, res) => {
  if (req.url === '/publish' && req.method === 'POST') {
    let body = '';
    req.setEncoding('utf8');
    req.on('data', (chunk) => { body += chunk; });
    req.on('end', () => {
      publish(body);
      res.writeHead(204).end();
    });
    return;
  }
  if (req.url !== '/events') {
    res.writeHead(404).end();
    return;
  }
  if (req.method !== 'GET' && req.method !== 'HEAD') {
    res.writeHead(405, {'Allow': 'GET, HEAD'}).end();
    return;
  }
  res.writeHead(200, {'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no'});
  if (req.method === 'HEAD') {
    res.end();
    return;
  }
  res.flushHeaders();
  res.write('retry: 2000\n\n');
  const from = req.headers['last-event-id'];
  if (from) {
    const known = /^\d{1,15}$/.test(from) && from <= lastId && from >= lastId - history.length;
    if (!known) {
      res.write('event: gap\ndata: what came before is not known\n\n');
    }
    for (const event of known ? history : []) {
      if (event.id > from) {
        res.write(event.text);
      }
    }
  }
  clients.add(res);
  const heartbeat = setInterval(() => res.write(':\n\n'), 15000);
  res.on('close', () => {
    clearInterval(heartbeat);
    clients.delete(res);
  });
}).listen(process.argv[2], '127.0.0.1');
