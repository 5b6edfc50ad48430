"""What programs do with google-cloud-pubsub, each part by its name; `done` at the end."""
import concurrent.futures, sys, threading, time
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.pubsub_v1 import types as pb

PROJECT = "acme"
WAIT = 100
options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
publisher = pubsub_v1.PublisherClient(publisher_options=options)
subscriber = pubsub_v1.SubscriberClient()


def topic(name):
    return publisher.topic_path(PROJECT, name)


def subscription(name):
    return subscriber.subscription_path(PROJECT, name)


def make(name, **more):
    publisher.create_topic(name=topic(name))
    return subscriber.create_subscription(request={"name": subscription(name), "topic": topic(name), **more})


def publish(name, texts, key="", **attributes):
    futures = [publisher.publish(topic(name), str(t).encode(), ordering_key=key, **attributes) for t in texts]
    return [future.result(WAIT) for future in futures]


def pull(name, count):
    found = []
    deadline = time.monotonic() + WAIT
    while len(found) < count and time.monotonic() < deadline:
        answer = subscriber.pull(subscription=subscription(name), max_messages=count - len(found), timeout=30)
        found.extend(answer.received_messages)
    return found


def texts(received):
    return [r.message.data.decode() for r in received]


def ack(name, received):
    subscriber.acknowledge(subscription=subscription(name), ack_ids=[r.ack_id for r in received])


class Stream:
    """Messages of a streaming pull, as they come."""

    def __init__(self, name, callback):
        self.future = subscriber.subscribe(subscription(name), callback)

    def close(self):
        self.future.cancel()
        self.future.result(WAIT)


def part_pull():
    made = make("orders")
    assert made.ack_deadline_seconds == 10 and made.message_retention_duration.total_seconds() == 604800, made
    ids = publish("orders", range(250), kind="new")
    assert len(set(ids)) == 250, ids
    first = pull("orders", 100)
    assert all(r.message.attributes["kind"] == "new" for r in first)
    assert [r.message.message_id for r in first] == sorted((r.message.message_id for r in first), key=int)
    ack("orders", first)
    rest = pull("orders", 150)
    ack("orders", rest)
    assert sorted(map(int, texts(first + rest))) == list(range(250))
    assert set(ids) == {r.message.message_id for r in first + rest}
    answer = subscriber.pull(request={"subscription": subscription("orders"), "max_messages": 1, "return_immediately": True})
    assert not answer.received_messages
    publish("orders", ["again"])
    (one,) = pull("orders", 1)
    assert one.delivery_attempt == 0
    subscriber.modify_ack_deadline(subscription=subscription("orders"), ack_ids=[one.ack_id], ack_deadline_seconds=0)
    (two,) = pull("orders", 1)
    assert two.message.message_id == one.message.message_id and two.ack_id != one.ack_id
    ack("orders", [one, two])


def part_stream():
    make("orders")
    seen, nacked, done = [], set(), threading.Event()
    lock = threading.Lock()

    def callback(message):
        text = message.data.decode()
        with lock:
            if text not in nacked and int(text) % 3 == 0:
                nacked.add(text)
                message.nack()
                return
            message.ack()
            seen.append(text)
            if len(set(seen)) == 300:
                done.set()

    stream = Stream("orders", callback)
    publish("orders", range(300))
    assert done.wait(WAIT), (len(seen), len(nacked))
    stream.close()
    assert sorted(map(int, seen)) == list(range(300)), "each once, those that were given back too"


def part_order():
    make("orders", enable_message_ordering=True)
    seen, failed, done = {"a": [], "b": []}, [], threading.Event()
    lock = threading.Lock()

    def callback(message):
        with lock:
            number = int(message.data)
            seen[message.ordering_key].append(number)
            if message.ordering_key == "a" and number == 5 and len(failed) < 2:
                failed.append(number)
                message.nack()
                return
            message.ack()
            if seen["a"].count(5) == 3 and all(numbers and numbers[-1] == 19 for numbers in seen.values()):
                done.set()

    for key in "ab":
        publish("orders", range(20), key=key)
    stream = Stream("orders", callback)
    assert done.wait(WAIT), seen
    stream.close()
    assert seen["b"] == list(range(20)), seen
    last = max(i for i, n in enumerate(seen["a"]) if n == 5)
    assert seen["a"][last:] == list(range(5, 20)), seen
    assert len(failed) == 2


def part_exactly_once():
    made = make("orders", enable_exactly_once_delivery=True)
    assert made.enable_exactly_once_delivery
    publish("orders", range(50))
    results, done = [], threading.Event()

    def callback(message):
        results.append((message.data.decode(), message.ack_with_response()))
        if len(results) == 50:
            done.set()

    stream = Stream("orders", callback)
    assert done.wait(WAIT), len(results)
    for _, future in results:
        future.result(WAIT)
    stream.close()
    assert sorted(int(text) for text, _ in results) == list(range(50))
    publish("orders", ["late"])
    (one,) = pull("orders", 1)
    subscriber.modify_ack_deadline(subscription=subscription("orders"), ack_ids=[one.ack_id], ack_deadline_seconds=0)
    try:
        ack("orders", [one])
        raise AssertionError("a stale acknowledgement must fail")
    except exceptions.InvalidArgument as error:
        info = [d for d in error.details if getattr(d, "reason", "") == "EXACTLY_ONCE_ACKID_FAILURE"]
        assert info and info[0].metadata[one.ack_id] == "PERMANENT_FAILURE_INVALID_ACK_ID", error.details
    (two,) = pull("orders", 1)
    ack("orders", [two])


def part_dead_letter():
    publisher.create_topic(name=topic("dead"))
    subscriber.create_subscription(name=subscription("dead"), topic=topic("dead"))
    policy = {"dead_letter_topic": topic("dead"), "max_delivery_attempts": 5}
    make("orders", dead_letter_policy=policy, retry_policy={"minimum_backoff": "0.01s", "maximum_backoff": "0.1s"})
    publish("orders", ["bad"], kind="x")
    attempts, stop = [], threading.Event()

    def callback(message):
        attempts.append(message.delivery_attempt)
        message.nack()

    stream = Stream("orders", callback)
    (letter,) = pull("dead", 1)
    stream.close()
    attributes = dict(letter.message.attributes)
    assert attempts == [1, 2, 3, 4, 5], attempts
    assert letter.message.data == b"bad" and attributes["kind"] == "x"
    assert attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5", attributes
    assert attributes["CloudPubSubDeadLetterSourceSubscription"] == "orders"
    assert attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] == "acme"
    assert attributes["CloudPubSubDeadLetterSourceTopicPublishTime"]
    ack("dead", [letter])


def part_seek():
    make("orders", filter='attributes.kind = "yes"', retain_acked_messages=True)
    publish("orders", ["no"], kind="no")
    publish("orders", ["a"], kind="yes")
    (a,) = pull("orders", 1)
    ack("orders", [a])
    snapshot = subscriber.snapshot_path(PROJECT, "shot")
    shot = subscriber.create_snapshot(name=snapshot, subscription=subscription("orders"))
    assert shot.topic == topic("orders")
    publish("orders", ["b", "c"], kind="yes")
    ack("orders", pull("orders", 2))
    subscriber.seek({"subscription": subscription("orders"), "snapshot": snapshot})
    again = pull("orders", 2)
    assert texts(again) == ["b", "c"], texts(again)
    ack("orders", again)
    subscriber.seek({"subscription": subscription("orders"), "time": a.message.publish_time})
    again = pull("orders", 3)
    assert texts(again) == ["a", "b", "c"], texts(again)
    subscriber.seek({"subscription": subscription("orders"), "time": again[2].message.publish_time.replace(year=2100)})
    answer = subscriber.pull(request={"subscription": subscription("orders"), "max_messages": 1, "return_immediately": True})
    assert not answer.received_messages
    assert [s.name for s in subscriber.list_snapshots(project=f"projects/{PROJECT}")] == [snapshot]
    subscriber.delete_snapshot(snapshot=snapshot)


def part_admin():
    names = [f"topic-{n:03}" for n in range(130)]
    for name in names:
        publisher.create_topic(name=topic(name))
    assert [t.name for t in publisher.list_topics(project=f"projects/{PROJECT}")] == [topic(n) for n in names]
    try:
        publisher.create_topic(name=topic(names[0]))
        raise AssertionError("made twice")
    except exceptions.AlreadyExists:
        pass
    made = subscriber.create_subscription(request={
        "name": subscription("s-one"), "topic": topic(names[0]), "labels": {"team": "data"},
        "push_config": {}, "ack_deadline_seconds": 42,
        "expiration_policy": {"ttl": "86400s"}, "bigquery_config": None})
    got = subscriber.get_subscription(subscription=subscription("s-one"))
    assert got == made and got.labels["team"] == "data" and got.expiration_policy.ttl.days == 1, got
    changed = subscriber.update_subscription(request={
        "subscription": {"name": subscription("s-one"), "ack_deadline_seconds": 99, "labels": {}},
        "update_mask": {"paths": ["ack_deadline_seconds"]}})
    assert changed.ack_deadline_seconds == 99 and changed.labels["team"] == "data"
    updated = publisher.update_topic(request={
        "topic": {"name": topic(names[1]), "labels": {"a": "b"}, "message_retention_duration": "86400s"},
        "update_mask": {"paths": ["labels", "message_retention_duration"]}})
    assert updated == publisher.get_topic(topic=topic(names[1])) and updated.labels["a"] == "b", updated
    assert list(publisher.list_topic_subscriptions(topic=topic(names[0]))) == [subscription("s-one")]
    assert [s.name for s in subscriber.list_subscriptions(project=f"projects/{PROJECT}")] == [subscription("s-one")]
    publisher.delete_topic(topic=topic(names[0]))
    assert subscriber.get_subscription(subscription=subscription("s-one")).topic == "_deleted-topic_"
    for call in (lambda: publisher.get_topic(topic=topic(names[0])),
                 lambda: publisher.publish(topic(names[0]), b"x").result(WAIT),
                 lambda: subscriber.get_subscription(subscription=subscription("nobody"))):
        try:
            call()
            raise AssertionError("found what is not there")
        except exceptions.NotFound:
            pass
    subscriber.delete_subscription(subscription=subscription("s-one"))
    make("detached")
    publisher.detach_subscription(request={"subscription": subscription("detached")})
    assert subscriber.get_subscription(subscription=subscription("detached")).detached
    try:
        subscriber.pull(subscription=subscription("detached"), max_messages=1)
        raise AssertionError("pulled from a detached subscription")
    except exceptions.FailedPrecondition:
        pass


def part_collect():
    seen, done = set(), threading.Event()

    def callback(message):
        seen.add(message.data.decode())
        message.ack()
        if len(seen) == 30:
            done.set()

    stream = Stream("restart", callback)
    while not done.wait(1):
        # Raises what ended the stream, if something did.
        try:
            stream.future.result(0)
            raise AssertionError(f"the stream ended with {len(seen)} messages")
        except concurrent.futures.TimeoutError:
            pass
    stream.close()


def part_schema():
    service = pubsub_v1.SchemaServiceClient()
    parent, name = f"projects/{PROJECT}", f"projects/{PROJECT}/schemas/order"
    avro = """{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}]}"""
    wider = """{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"},
               {"name": "won", "type": "long"}]}"""
    kind = pb.Schema.Type.AVRO
    made = service.create_schema(parent=parent, schema_id="order", schema={"type_": kind, "definition": avro})
    assert made.name == name and made.revision_id, made
    publisher.create_topic(request={"name": topic("orders"), "schema_settings": {"schema": name, "encoding": "JSON"}})
    subscriber.create_subscription(name=subscription("orders"), topic=topic("orders"))
    publish("orders", [b'{"id": "a"}'.decode()])
    try:
        publish("orders", ['{"id": 5}'])
        raise AssertionError("a message that does not fit was taken")
    except exceptions.InvalidArgument as error:
        assert "$.id" in str(error), error
    (one,) = pull("orders", 1)
    assert one.message.attributes["googclient_schemaencoding"] == "JSON", one
    assert one.message.attributes["googclient_schemarevisionid"] == made.revision_id
    second = service.commit_schema(name=name, schema={"name": name, "type_": kind, "definition": wider})
    publish("orders", ['{"id": "a", "won": 7}'])
    assert [r.revision_id for r in service.list_schema_revisions(name=name)] == [second.revision_id, made.revision_id]
    third = service.rollback_schema(name=name, revision_id=made.revision_id)
    assert third.definition == made.definition and third.revision_id not in (made.revision_id, second.revision_id)
    service.delete_schema_revision(name=f"{name}@{second.revision_id}")
    try:
        publish("orders", ['{"id": "a", "won": 7}'])
        raise AssertionError("the revision is gone")
    except exceptions.InvalidArgument:
        pass
    proto = {"type_": pb.Schema.Type.PROTOCOL_BUFFER, "definition": 'syntax = "proto3"; message A { string id = 1; }'}
    service.validate_schema(parent=parent, schema=proto)
    service.validate_message(request={"parent": parent, "schema": proto, "message": b"\x0a\x01a", "encoding": "BINARY"})
    for bad in ({"schema": proto, "message": b"\x0a\x09a"}, {"name": name, "message": b"\x09"}):
        try:
            service.validate_message(request={"parent": parent, "encoding": "BINARY", **bad})
            raise AssertionError("valid")
        except exceptions.InvalidArgument:
            pass
    assert [s.name for s in service.list_schemas(parent=parent)] == [name]
    service.delete_schema(name=name)
    assert not list(service.list_schemas(parent=parent))


globals()["part_" + sys.argv[1]]()
print("done")
