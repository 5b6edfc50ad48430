"""google-cloud-pubsub over TLS with a token. Arguments: the address, the token. `done` at the end."""
import sys, threading
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.oauth2.credentials import Credentials

address, token = sys.argv[1:3]
options = {"client_options": {"api_endpoint": address}, "credentials": Credentials(token)}
publisher = pubsub_v1.PublisherClient(**options)
subscriber = pubsub_v1.SubscriberClient(**options)
topic, subscription = "projects/acme/topics/orders", "projects/acme/subscriptions/orders"
subscriber.create_subscription(name=subscription, topic=topic)
futures = [publisher.publish(topic, str(n).encode()) for n in range(100)]
assert len({future.result(60) for future in futures}) == 100
seen, done = set(), threading.Event()


def callback(message):
    seen.add(int(message.data))
    message.ack()
    if len(seen) == 100:
        done.set()


stream = subscriber.subscribe(subscription, callback)
assert done.wait(100), len(seen)
stream.cancel()
stream.result(60)
stranger = pubsub_v1.PublisherClient(client_options={"api_endpoint": address}, credentials=Credentials("naru_wrong"))
try:
    stranger.get_topic(topic=topic)
    raise AssertionError("a wrong token opened a topic")
except exceptions.Unauthenticated:
    pass
print("done")
