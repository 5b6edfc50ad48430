// What programs do with @google-cloud/pubsub, each part by its name; `done` at the end.
const { PubSub } = require('@google-cloud/pubsub');
const assert = require('node:assert');
const pubsub = new PubSub({ projectId: 'acme' });
const WAIT = 100_000;

function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('waited for ' + what)), WAIT); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function make(name, options = {}) {
  const [topic] = await pubsub.createTopic(name);
  const [subscription] = await topic.createSubscription(name, options);
  return [topic, subscription];
}

const parts = {
  async stream() {
    const [topic, subscription] = await make('orders');
    const seen = [];
    const nacked = new Set();
    const all = new Promise((resolve, reject) => {
      subscription.on('error', reject);
      subscription.on('message', (message) => {
        const text = message.data.toString();
        if (Number(text) % 5 === 0 && !nacked.has(text)) {
          nacked.add(text);
          message.nack();
          return;
        }
        message.ack();
        seen.push(text);
        if (new Set(seen).size === 200) resolve();
      });
    });
    const ids = [];
    for (let n = 0; n < 200; n++) ids.push(topic.publishMessage({ data: Buffer.from(String(n)), attributes: { n: String(n) } }));
    assert.strictEqual(new Set(await Promise.all(ids)).size, 200);
    await within('all messages', all);
    await subscription.close();
    assert.deepStrictEqual(seen.map(Number).sort((a, b) => a - b), [...Array(200).keys()]);
  },

  async order() {
    const [, subscription] = await make('orders', { enableMessageOrdering: true });
    const topic = pubsub.topic('orders', { messageOrdering: true });
    for (let n = 0; n < 30; n++) {
      for (const orderingKey of ['a', 'b']) topic.publishMessage({ data: Buffer.from(String(n)), orderingKey });
    }
    await topic.flush();
    const seen = { a: [], b: [] };
    await within('all messages', new Promise((resolve, reject) => {
      subscription.on('error', reject);
      subscription.on('message', (message) => {
        seen[message.orderingKey].push(Number(message.data.toString()));
        message.ack();
        if (seen.a.length >= 30 && seen.b.length >= 30) resolve();
      });
    }));
    await subscription.close();
    for (const key of ['a', 'b']) assert.deepStrictEqual(seen[key], [...Array(30).keys()]);
  },

  async exactly_once() {
    const [topic, subscription] = await make('orders', { enableExactlyOnceDelivery: true });
    const seen = [];
    const all = new Promise((resolve, reject) => {
      subscription.on('error', reject);
      subscription.on('message', (message) => {
        message.ackWithResponse().then((answer) => {
          assert.strictEqual(answer, 'SUCCESS');
          seen.push(Number(message.data.toString()));
          if (seen.length === 40) resolve();
        }).catch(reject);
      });
    });
    for (let n = 0; n < 40; n++) topic.publishMessage({ data: Buffer.from(String(n)) });
    await within('all acknowledgements', all);
    await subscription.close();
    assert.deepStrictEqual(seen.sort((a, b) => a - b), [...Array(40).keys()]);
  },
};

const part = process.argv[process.argv.length - 1];
parts[part]().then(() => { console.log('done'); process.exit(0); }, (error) => { console.error(error); process.exit(1); });
