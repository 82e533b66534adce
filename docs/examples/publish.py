#!/usr/bin/python3
"""Start an auto-session and wait for the answer (Debian: python3-pika)."""

import json
import os
import uuid

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()  # basic_publish then raises unless the broker has taken the message

answers = []
channel.basic_consume(
    "amq.rabbitmq.reply-to",
    lambda _channel, _method, properties, body: answers.append(json.loads(body)),
    auto_ack=True,
)
channel.basic_publish(
    "game.commands",  # at least once, retried, effects exactly once; "game.rpc" for an answer now or never
    "tick.start_auto_session",
    json.dumps({"player_id": 101, "active_category": "exploration"}),
    pika.BasicProperties(
        type="start_auto_session",
        message_id=str(uuid.uuid4()),
        content_type="application/json",
        delivery_mode=2,
        reply_to="amq.rabbitmq.reply-to",
    ),
    mandatory=True,
)
while not answers:
    connection.process_data_events(time_limit=1)
print(json.dumps(answers[0]))
connection.close()
