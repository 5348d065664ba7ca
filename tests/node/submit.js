// Submits as a Node application does: one job by itself, and one in a transaction beside business data.
// Arguments: the MongoDB URI, the database, and what becomes of the transaction: commit or abort.
// Prints the two jobs' ids as JSON.
const { createHash, randomBytes } = require("node:crypto");
const { MongoClient, Binary } = require("mongodb");

function jobDocument(pipeline, name, content) {
  return {
    _id: `default.${Date.now().toString(16).padStart(12, "0")}${randomBytes(10).toString("hex")}`,
    tenant: "default",
    pipeline,
    document: {
      name,
      type: "text/plain",
      size: content.length,
      sha256: createHash("sha256").update(content).digest("hex"),
      inline: new Binary(content),
    },
    state: "submitted",
    created_at: new Date(),
  };
}

async function main(uri, database, end) {
  const client = await new MongoClient(uri).connect();
  try {
    const db = client.db(database);
    const alone = jobDocument("counting", "alone.txt", Buffer.from("one two three"));
    const beside = jobDocument("counting", "order.txt", Buffer.from("four words are here"));
    const session = client.startSession();
    session.startTransaction({ readConcern: { level: "majority" }, writeConcern: { w: "majority" } });
    await db.collection("orders").insertOne({ _id: 1, job: beside._id }, { session });
    await db.collection("jobs").insertOne(beside, { session });
    await (end === "commit" ? session.commitTransaction() : session.abortTransaction());
    await session.endSession();
    await db.collection("jobs").insertOne(alone, { writeConcern: { w: "majority" } });
    const refused = await db
      .collection("jobs")
      .insertOne({ ...alone, _id: `${alone._id}x`, state: "paused" })
      .then(() => null, (error) => error.code);
    process.stdout.write(JSON.stringify({ alone: alone._id, beside: beside._id, refused }));
  } finally {
    await client.close();
  }
}

main(...process.argv.slice(2)).catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
