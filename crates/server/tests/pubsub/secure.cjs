// @google-cloud/pubsub over TLS with a token. Arguments: the address, the token, the certificate. `done` at the end.
const { PubSub } = require('@google-cloud/pubsub');
const { OAuth2Client } = require('google-auth-library');
const assert = require('node:assert');
const [address, token] = process.argv.slice(-3);

function client(token) {
  const authClient = new OAuth2Client();
  authClient.setCredentials({ access_token: token });
  return new PubSub({ projectId: 'acme', apiEndpoint: address, emulatorMode: false, authClient });
}

(async () => {
  const pubsub = client(token);
  const topic = pubsub.topic('orders');
  const [subscription] = await topic.createSubscription('orders');
  const seen = new Set();
  const all = new Promise((resolve, reject) => {
    subscription.on('error', reject);
    subscription.on('message', (message) => {
      seen.add(message.data.toString());
      message.ack();
      if (seen.size === 50) resolve();
    });
  });
  for (let n = 0; n < 50; n++) await topic.publishMessage({ data: Buffer.from(String(n)) });
  await all;
  await subscription.close();
  await assert.rejects(client('naru_wrong').topic('orders').getMetadata(), { code: 16 });
  console.log('done');
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
