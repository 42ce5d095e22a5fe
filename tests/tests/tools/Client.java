import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Uses a broker as an application in Java does, and prints what it finds: java -cp 'LIBS/*' Client.java ADDRESS. */
public class Client {
    private static final String TOPIC = "orders";
    private static final int PARTITIONS = 4;
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private final String address;

    private Client(String address) {
        this.address = address;
    }

    public static void main(String[] arguments) throws Exception {
        Client client = new Client(arguments[0]);
        try (Admin admin = Admin.create(Map.<String, Object>of("bootstrap.servers", arguments[0]))) {
            client.administer(admin);
            client.produce();
            client.listOffsets(admin);
            client.seek();
            client.share(admin);
            client.beginTransaction();
        }
    }

    private static void say(String what, Object found) {
        System.out.println(what + ": " + found);
    }

    /** The name of the error that something ends with. */
    private static String refusal(Callable<?> action) throws Exception {
        try {
            return "none, but " + action.call();
        } catch (ExecutionException error) {
            return error.getCause().getClass().getSimpleName();
        } catch (org.apache.kafka.common.KafkaException error) {
            return error.getClass().getSimpleName();
        }
    }

    private void administer(Admin admin) throws Exception {
        var cluster = admin.describeCluster();
        say("cluster", cluster.nodes().get().size() + " node, controller " + cluster.controller().get().id());
        var settings = Map.of("max.message.bytes", "5000");
        var created = admin.createTopics(List.of(new NewTopic(TOPIC, PARTITIONS, (short) 1).configs(settings)));
        say("created", TOPIC + " " + created.numPartitions(TOPIC).get());
        say("topics", admin.listTopics().names().get());
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, TOPIC);
        Config config = admin.describeConfigs(List.of(topic)).all().get().get(topic);
        say("settings", config.get("max.message.bytes").name() + "=" + config.get("max.message.bytes").value()
            + " retention.ms=" + config.get("retention.ms").value());
        say("unknown", refusal(() -> admin.describeTopics(List.of("nothing")).allTopicNames().get()));
    }

    private KafkaProducer<String, String> producer(Map<String, Object> more) {
        Map<String, Object> settings = new java.util.HashMap<>(Map.of("bootstrap.servers", address, "acks", "all", "enable.idempotence", true,
            "key.serializer", StringSerializer.class, "value.serializer", StringSerializer.class));
        settings.putAll(more);
        return new KafkaProducer<>(settings);
    }

    /** Two records for each partition: the first stamped 1000, the second 5000. */
    private void produce() throws Exception {
        try (var producer = producer(Map.of())) {
            List<String> places = new ArrayList<>();
            for (int number = 0; number < 2 * PARTITIONS; number++) {
                long time = number < PARTITIONS ? 1000 : 5000;
                var record = new ProducerRecord<>(TOPIC, number % PARTITIONS, time, "k" + number, "v" + number);
                record.headers().add(new RecordHeader("n", String.valueOf(number).getBytes()));
                RecordMetadata place = producer.send(record).get();
                places.add(place.partition() + "/" + place.offset());
            }
            say("produced", places);
            say("too large", refusal(() -> producer.send(new ProducerRecord<>(TOPIC, 0, "k", "x".repeat(20_000))).get()));
        }
    }

    private void listOffsets(Admin admin) throws Exception {
        TopicPartition partition = new TopicPartition(TOPIC, 0);
        ListOffsetsResultInfo since = offsetOf(admin, partition, OffsetSpec.forTimestamp(3000));
        ListOffsetsResultInfo newest = offsetOf(admin, partition, OffsetSpec.maxTimestamp());
        say("offsets", "earliest " + offsetOf(admin, partition, OffsetSpec.earliest()).offset()
            + ", latest " + offsetOf(admin, partition, OffsetSpec.latest()).offset()
            + ", at 3000 -> " + since.offset() + "@" + since.timestamp()
            + ", newest " + newest.offset() + "@" + newest.timestamp());
    }

    private static ListOffsetsResultInfo offsetOf(Admin admin, TopicPartition partition, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get();
    }

    private KafkaConsumer<String, String> consumer() {
        return new KafkaConsumer<>(Map.of("bootstrap.servers", address, "group.id", "readers", "enable.auto.commit", false,
            "auto.offset.reset", "earliest", "heartbeat.interval.ms", 200,
            "key.deserializer", StringDeserializer.class, "value.deserializer", StringDeserializer.class));
    }

    private void seek() {
        try (var consumer = consumer()) {
            TopicPartition partition = new TopicPartition(TOPIC, 2);
            consumer.assign(List.of(partition));
            consumer.seek(partition, 1);
            List<ConsumerRecord<String, String>> found = new ArrayList<>();
            until(() -> !found.isEmpty(), () -> consumer.poll(Duration.ofMillis(100)).forEach(found::add));
            ConsumerRecord<String, String> record = found.get(0);
            String header = new String(record.headers().lastHeader("n").value());
            say("sought", record.partition() + "/" + record.offset() + " " + record.key() + "=" + record.value() + " n:" + header);
        }
    }

    /** Two members share the partitions and commit; then one leaves, and the other goes on alone. */
    private void share(Admin admin) throws Exception {
        TreeSet<String> records = new TreeSet<>();
        try (var stays = consumer()) {
            try (var leaves = consumer()) {
                List<KafkaConsumer<String, String>> both = List.of(stays, leaves);
                both.forEach(member -> member.subscribe(List.of(TOPIC)));
                until(() -> both.stream().allMatch(member -> member.assignment().size() == 2 && hasReadAll(member)),
                    () -> both.forEach(member -> poll(member, records)));
                say("members", stays.assignment().size() + " + " + leaves.assignment().size());
                say("shared", records);
                both.forEach(KafkaConsumer::commitSync);
            }
            say("committed", committed(stays));
            records.clear();
            until(() -> stays.assignment().size() == PARTITIONS, () -> poll(stays, records));
            say("alone", stays.assignment().size());
            produceAfter();
            until(() -> records.size() == PARTITIONS, () -> poll(stays, records));
            say("went on", records);
            say("groups", admin.listGroups().all().get().stream().map(group -> group.groupId() + " " + group.protocol()).toList());
            var group = admin.describeConsumerGroups(List.of("readers")).all().get().get("readers");
            say("group", group.groupState() + " " + group.members().size());
        }
    }

    private static boolean hasReadAll(KafkaConsumer<String, String> member) {
        return member.assignment().stream().allMatch(partition -> member.position(partition) == 2);
    }

    private static void poll(KafkaConsumer<String, String> member, Collection<String> records) {
        member.poll(Duration.ofMillis(100)).forEach(record -> records.add(record.partition() + "/" + record.offset() + " " + record.value()));
    }

    private static List<Long> committed(KafkaConsumer<String, String> consumer) {
        List<TopicPartition> all = IntStream.range(0, PARTITIONS).mapToObj(number -> new TopicPartition(TOPIC, number)).toList();
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(new java.util.HashSet<>(all));
        return all.stream().map(partition -> committed.get(partition).offset()).collect(Collectors.toList());
    }

    private void produceAfter() throws Exception {
        try (var producer = producer(Map.of("compression.type", "zstd"))) {
            for (int partition = 0; partition < PARTITIONS; partition++) {
                producer.send(new ProducerRecord<>(TOPIC, partition, "k", "after")).get();
            }
        }
    }

    /** There are none, which the client must learn at once. */
    private void beginTransaction() throws Exception {
        try (var producer = producer(Map.of("transactional.id", "mine"))) {
            say("transactions", refusal(() -> {
                producer.initTransactions();
                return "begun";
            }));
        }
    }

    private interface Holds {
        boolean now();
    }

    /** Does something again and again until something holds. */
    private static void until(Holds holds, Runnable step) {
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (!holds.now()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("not in time");
            }
            step.run();
        }
    }
}
