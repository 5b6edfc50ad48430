"""Sends with published libraries until standard input ends; then one line: what was acknowledged, by topic.
Arguments: `senders` or `pubsub`, the address of naru's HTTP door. What fails is not sent again by this script."""
import json, sys, threading, time

part, address = sys.argv[1:3]
base = f"http://{address}"
over = threading.Event()
told = {"track": [], "calls": [], "orders": []}


def mixpanel():
    from mixpanel import Consumer, Mixpanel
    sender = Mixpanel("none", consumer=Consumer(events_url=f"{base}/track"))
    n = 0
    while not over.is_set():
        n += 1
        try:
            sender.track("u", f"py-{n}")
            told["track"].append(f"py-{n}")
        except Exception:
            time.sleep(0.05)


def segment():
    import segment.analytics as segment
    segment.write_key, segment.host, segment.max_retries = "none", base, 30
    failed, sent, n = set(), [], 0
    segment.on_error = lambda error, items: failed.update(item["event"] for item in items)
    while not over.is_set():
        n += 1
        if segment.track("u", f"py-{n}")[0]:
            sent.append(f"py-{n}")
        time.sleep(0.005)
    # Waits for all that is queued.
    segment.shutdown()
    told["calls"] = [name for name in sent if name not in failed]


def pubsub():
    from google.cloud import pubsub_v1
    publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
    topic, subscription = "projects/acme/topics/orders", "projects/acme/subscriptions/orders"
    subscriber.create_subscription(name=subscription, topic=topic)
    seen = set()

    def callback(message):
        seen.add(json.loads(message.data)["id"])
        message.ack()

    stream = subscriber.subscribe(subscription, callback)
    futures, n = {}, 0
    while not over.is_set():
        n += 1
        futures[f"py-{n}"] = publisher.publish(topic, json.dumps({"id": f"py-{n}"}).encode())
        time.sleep(0.005)
    for name, future in futures.items():
        try:
            future.result(120)
            told["orders"].append(name)
        except Exception:
            pass
    # What was published is received too, although naru was killed under the stream.
    deadline = time.monotonic() + 120
    while not seen.issuperset(told["orders"]) and time.monotonic() < deadline:
        time.sleep(0.1)
    stream.cancel()
    missing = set(told["orders"]) - seen
    assert not missing, f"never received: {sorted(missing)[:20]}"


parts = {"senders": [mixpanel, segment], "pubsub": [pubsub]}[part]
errors = []


def run(part):
    try:
        part()
    except BaseException as error:
        errors.append(error)
        raise


threads = [threading.Thread(target=run, args=(part,)) for part in parts]
for thread in threads:
    thread.start()
sys.stdin.read()
over.set()
for thread in threads:
    thread.join()
if errors:
    sys.exit(f"{errors!r}")
print(json.dumps(told))
