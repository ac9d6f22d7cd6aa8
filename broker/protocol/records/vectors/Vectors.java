import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.Scanner;

import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;

/**
 * Writes kafka-4.3.hex, a line "name hex" for every format and codec, with Apache Kafka's own code:
 * {@code java -cp 'libs/*' Vectors.java > kafka-4.3.hex}. With the argument {@code read} it reads such lines from
 * its input instead and prints the records, to see that Kafka reads what we write.
 */
public class Vectors {
    static final Header[] HEADERS = {
        new RecordHeader("h1", "x".getBytes()),
        new RecordHeader("h2", null),
        new RecordHeader("", new byte[0]),
    };

    static SimpleRecord[] records(boolean headers) {
        return new SimpleRecord[] {
            new SimpleRecord(1000L, "k0".getBytes(), "v0".getBytes(), headers ? HEADERS : new Header[0]),
            new SimpleRecord(1001L, null, (byte[]) null),
            new SimpleRecord(999L, new byte[0], "abc".repeat(200).getBytes()),
        };
    }

    static void write(int magic, CompressionType type, TimestampType time) {
        boolean v2 = magic == 2;
        boolean appendTime = time == TimestampType.LOG_APPEND_TIME;
        MemoryRecordsBuilder builder = MemoryRecords.builder(
            ByteBuffer.allocate(4096), (byte) magic, Compression.of(type).build(), time, 100L,
            appendTime ? 5000L : RecordBatch.NO_TIMESTAMP, v2 ? 7L : -1L, (short) (v2 ? 3 : -1),
            v2 ? Integer.MAX_VALUE - 1 : -1, v2, v2 ? 5 : -1);
        for (SimpleRecord record : records(v2)) builder.append(record);
        ByteBuffer built = builder.build().buffer();
        byte[] bytes = new byte[built.remaining()];
        built.get(bytes);
        System.out.println("magic" + magic + "-" + type.name + (appendTime ? "-append" : "") + " "
            + HexFormat.of().formatHex(bytes));
    }

    static void read() {
        Scanner lines = new Scanner(System.in);
        while (lines.hasNext()) {
            System.out.println(lines.next());
            MemoryRecords set = MemoryRecords.readableRecords(ByteBuffer.wrap(HexFormat.of().parseHex(lines.next())));
            for (RecordBatch batch : set.batches()) {
                batch.ensureValid();
                System.out.println("  " + batch + " " + batch.timestampType() + " " + batch.maxTimestamp());
                for (Record record : batch) {
                    record.ensureValid();
                    System.out.println("    " + record.offset() + " " + record.timestamp() + " " + text(record.key())
                        + " " + text(record.value()) + " " + java.util.Arrays.toString(record.headers()));
                }
            }
        }
    }

    static String text(ByteBuffer bytes) {
        if (bytes == null) return "null";
        return bytes.remaining() > 20 ? bytes.remaining() + " bytes" : "'" + new String(java.nio.charset.StandardCharsets.UTF_8.decode(bytes).array()).trim() + "'";
    }

    public static void main(String[] arguments) {
        if (arguments.length > 0) {
            read();
            return;
        }
        for (int magic = 0; magic <= 2; magic++)
            for (CompressionType type : CompressionType.values())
                for (TimestampType time : new TimestampType[] {TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME}) {
                    boolean exists = (magic == 2 || type != CompressionType.ZSTD)
                        && (magic > 0 || time == TimestampType.CREATE_TIME);
                    if (exists) write(magic, type, time);
                }
    }
}
