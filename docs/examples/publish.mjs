// Ask for an auto-session's status (npm install amqplib).
import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createChannel();
const correlationId = randomUUID();

const answer = new Promise((resolve) => {
  channel.consume("amq.rabbitmq.reply-to", (message) => {
    if (message.properties.correlationId === correlationId) resolve(JSON.parse(message.content));
  }, { noAck: true });
});
channel.publish("game.rpc", "tick.get_auto_session_status", Buffer.from(JSON.stringify({ player_id: 101 })), {
  type: "get_auto_session_status",
  contentType: "application/json",
  correlationId,
  replyTo: "amq.rabbitmq.reply-to",
  expiration: 5000, // nobody serves it once we no longer wait
});
console.log(JSON.stringify(await answer));
await connection.close();
