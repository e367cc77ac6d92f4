// Express with the compression middleware in front of everything, as most applications have it, and a clock on three routes: /events forgets that
// what is compressed has to be flushed, /flushed does as the middleware's documentation says, /no-transform asks the middleware to keep out of it.
const express = require('express');
const compression = require('compression');

const app = express();
app.use(compression());

function clock(path, cacheControl, flush) {
  app.get(path, (req, res) => {
    res.setHeader('Content-Type', 'text/event-stream');
    res.setHeader('Cache-Control', cacheControl);
    res.setHeader('Connection', 'keep-alive');
    res.flushHeaders();
    const timer = setInterval(() => {
      res.write(`data: ${new Date().toISOString()}\n\n`);
      if (flush) {
        res.flush();
      }
    }, 1000);
    req.on('close', () => clearInterval(timer));
  });
}

clock('/events', 'no-cache', false);
clock('/flushed', 'no-cache', true);
clock('/no-transform', 'no-cache, no-transform', false);

app.listen(process.argv[2], '127.0.0.1');
