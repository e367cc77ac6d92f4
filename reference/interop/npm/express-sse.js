// The express-sse library, as its README has it: one instance whose init is the route.
const express = require('express');
const SSE = require('express-sse');

const app = express();
const sse = new SSE([]);

app.get('/stream', sse.init);

app.post('/publish', express.text({type: '*/*'}), (req, res) => {
  sse.send(typeof req.body === 'string' ? req.body : '', req.query.event);
  res.sendStatus(204);
});

app.listen(process.argv[2], '127.0.0.1');
