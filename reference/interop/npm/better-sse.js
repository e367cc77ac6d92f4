// The better-sse library under express, with a channel that everyone listens to, as its guide has it.
const express = require('express');
const {createSession, createChannel} = require('better-sse');

const app = express();
const channel = createChannel();

app.get('/sse', async (req, res) => {
  const session = await createSession(req, res);
  channel.register(session);
});

app.post('/publish', express.text({type: '*/*'}), (req, res) => {
  channel.broadcast(typeof req.body === 'string' ? req.body : '', 'message');
  res.sendStatus(204);
});

app.listen(process.argv[2], '127.0.0.1');
