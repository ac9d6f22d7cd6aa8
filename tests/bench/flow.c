/* flow: one producer and some consumers of a topic at a fixed rate, in one process, with latencies.
 *
 * The producer's load is open: record i is due at i / rate, and its latency counts from when it was due, not from when
 * the producer came round to sending it, so that a stall shows in every record that it held up. What is due is handed
 * over in steps of a millisecond, so that records wait half of one on average before any library has them: `paced` tells
 * how long. Prints one JSON object; times in milliseconds.
 */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rdkafka.h"

#define MAGIC 0x776f6c66616e656cULL
#define SUB 64                /* steps in each doubling of a histogram: within 1.6 % */
#define BUCKETS (SUB * 40)
#define MAX_CONSUMERS 64
#define MAX_SECONDS 7200

static const char *brokers, *topic, *acks = "1", *linger = "0";
static int size = 1000, seconds = 10, warm = 2, consumers = 1, partitions = 1;
static int interval = 1000; /* records that are due are handed over so often, us */
static double rate = 10e6;

static int64_t begun; /* monotonic, ns */
static atomic_int stop_consumers, ready;
static atomic_llong sent, acked, failed;

struct histogram { uint64_t count[BUCKETS], total; int64_t max; };
static struct histogram paced_times, ack_times, seen_times, *by_second;

struct consumer { pthread_t thread; rd_kafka_t *rk; atomic_llong seen; int first; };
static struct consumer group[MAX_CONSUMERS];

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what, const char *why) {
    fprintf(stderr, "flow: %s: %s\n", what, why);
    exit(1);
}

/* Microseconds on a scale of SUB steps for each doubling. */
static int bucket(int64_t us) {
    if (us < SUB) return us < 0 ? 0 : (int)us;
    int shift = 63 - __builtin_clzll((uint64_t)us) - 6;
    int at = (shift + 1) * SUB + (int)((us >> shift) - SUB);
    return at < BUCKETS ? at : BUCKETS - 1;
}

static int64_t bucket_us(int at) {
    if (at < SUB) return at;
    int shift = at / SUB - 1;
    return ((int64_t)(at % SUB + SUB) << shift) + ((int64_t)1 << shift) / 2;
}

static void note(struct histogram *h, int64_t ns) {
    h->count[bucket(ns / 1000)]++;
    h->total++;
    if (ns > h->max) h->max = ns;
}

static double quantile(const struct histogram *h, double q) {
    uint64_t goal = (uint64_t)ceil(q * (double)h->total), sum = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((sum += h->count[i]) >= goal && sum > 0) return (double)bucket_us(i) / 1000;
    return 0;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) die(name, error);
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    char error[512];
    set(conf, "bootstrap.servers", brokers);
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof error);
    if (!rk) die("client", error);
    return rk;
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk, (void)opaque;
    if (m->err) { atomic_fetch_add(&failed, 1); return; }
    atomic_fetch_add(&acked, 1);
    int64_t due = (int64_t)(intptr_t)m->_private;
    if (due >= (int64_t)warm * 1000000000) note(&ack_times, now_ns() - begun - due);
}

static void seen(struct consumer *me, const rd_kafka_message_t *m, int64_t now) {
    uint64_t head[2];
    if (m->err || m->len < sizeof head) return;
    memcpy(head, m->payload, sizeof head);
    if (head[0] != MAGIC) return;
    atomic_fetch_add_explicit(&me->seen, 1, memory_order_relaxed);
    int64_t due = (int64_t)head[1], second = due / 1000000000;
    if (!me->first) return;
    if (second >= warm) note(&seen_times, now - begun - due);
    if (second >= 0 && second < seconds) note(&by_second[second], now - begun - due);
}

static void *consume(void *argument) {
    struct consumer *me = argument;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "flow");
    set(conf, "enable.auto.commit", "false");
    set(conf, "fetch.queue.backoff.ms", "1");
    me->rk = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(me->rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int p = 0; p < partitions; p++) {
        int64_t low, high;
        rd_kafka_resp_err_t error;
        /* The leader of a topic that was just made may not know yet that it leads. */
        for (int tries = 0; tries < 20; tries++) {
            error = rd_kafka_query_watermark_offsets(me->rk, topic, p, &low, &high, 20000);
            if (error != RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION) break;
            usleep(250000);
        }
        if (error) die("watermarks", rd_kafka_err2str(error));
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = high;
    }
    rd_kafka_assign(me->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    atomic_fetch_add(&ready, 1);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(me->rk);
    rd_kafka_message_t *batch[1000];
    while (!atomic_load(&stop_consumers)) {
        /* What is there at once; a batch that waits to be full would add its own wait to every latency. */
        ssize_t n = rd_kafka_consume_batch_queue(queue, 0, batch, 1000);
        if (n == 0 && (batch[0] = rd_kafka_consume_queue(queue, 100))) n = 1;
        int64_t now = now_ns();
        for (ssize_t i = 0; i < n; i++) {
            seen(me, batch[i], now);
            rd_kafka_message_destroy(batch[i]);
        }
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(me->rk);
    rd_kafka_destroy(me->rk);
    return NULL;
}

static void pause_until(int64_t at) {
    struct timespec t = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void produce(rd_kafka_t *rk) {
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    const size_t noise = 1 << 20;
    char *payload = malloc(noise + (size_t)size);
    for (size_t i = 0; i < noise + (size_t)size; i++) payload[i] = (char)rand();
    double per_ns = rate / size / 1e9;
    int64_t total = (int64_t)(rate / size * seconds), i = 0;
    begun = now_ns();
    for (int64_t tick = begun; i < total; tick += (int64_t)interval * 1000) {
        pause_until(tick);
        int64_t due = (int64_t)((double)(now_ns() - begun) * per_ns);
        for (; i < due && i < total; i++) {
            uint64_t head[2] = {MAGIC, (uint64_t)((double)i / per_ns)};
            char *record = payload + (size_t)rand() % noise;
            memcpy(record, head, sizeof head);
            while (rd_kafka_produce(rkt, (int32_t)(i % partitions), RD_KAFKA_MSG_F_COPY, record, (size_t)size, NULL, 0,
                                    (void *)(intptr_t)head[1]) == -1) {
                if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                    die("produce", rd_kafka_err2str(rd_kafka_last_error()));
                rd_kafka_poll(rk, 1);
            }
            if (head[1] >= (uint64_t)warm * 1000000000) note(&paced_times, now_ns() - begun - (int64_t)head[1]);
            if (i % 256 == 0) rd_kafka_poll(rk, 0);
        }
        rd_kafka_poll(rk, 0);
    }
    atomic_store(&sent, i);
    rd_kafka_flush(rk, 60000);
    rd_kafka_topic_destroy(rkt);
    free(payload);
}

/* Lets the consumers reach the end; gives up on those that stand still for ten seconds. */
static void drain(void) {
    int64_t last = -1, quiet = now_ns();
    while (now_ns() - quiet < 10000000000) {
        int64_t sum = 0;
        for (int c = 0; c < consumers; c++) sum += atomic_load(&group[c].seen);
        if (sum >= (int64_t)consumers * atomic_load(&acked)) return;
        if (sum != last) { last = sum; quiet = now_ns(); }
        pause_until(now_ns() + 5000000);
    }
}

static void print(const char *name, const struct histogram *h) {
    printf("\"%s\":{\"count\":%" PRIu64 ",\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f},", name, h->total,
           quantile(h, 0.5), quantile(h, 0.99), quantile(h, 0.999), (double)h->max / 1e6);
}

static void options(int argc, char **argv) {
    for (int o; (o = getopt(argc, argv, "b:t:s:r:d:w:a:c:l:p:i:")) != -1;) {
        switch (o) {
        case 'b': brokers = optarg; break;
        case 't': topic = optarg; break;
        case 's': size = atoi(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'd': seconds = atoi(optarg); break;
        case 'w': warm = atoi(optarg); break;
        case 'a': acks = optarg; break;
        case 'c': consumers = atoi(optarg); break;
        case 'l': linger = optarg; break;
        case 'p': partitions = atoi(optarg); break;
        case 'i': interval = atoi(optarg); break;
        default: die("usage", "-b BROKERS -t TOPIC [-s BYTES] [-r BYTES/S] [-d SECONDS] [-w WARM-UP SECONDS] [-a ACKS] "
                              "[-c CONSUMERS] [-l LINGER MS] [-p PARTITIONS] [-i STEP IN US]");
        }
    }
    if (!brokers || !topic || size < 16 || seconds < 1 || seconds > MAX_SECONDS || consumers > MAX_CONSUMERS ||
        partitions < 1 || interval < 1 || rate <= 0)
        die("arguments", "-b and -t are needed; records have 16 bytes and more");
}

int main(int argc, char **argv) {
    options(argc, argv);
    by_second = calloc((size_t)seconds, sizeof *by_second);
    for (int c = 0; c < consumers; c++) {
        group[c].first = c == 0;
        pthread_create(&group[c].thread, NULL, consume, &group[c]);
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "acks", acks);
    set(conf, "linger.ms", linger);
    set(conf, "queue.buffering.max.kbytes", "2000000");
    set(conf, "queue.buffering.max.messages", "10000000");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, conf);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_metadata(rk, 0, rd_kafka_topic_new(rk, topic, NULL), &metadata, 20000);
    while (atomic_load(&ready) < consumers) pause_until(now_ns() + 10000000);
    produce(rk);
    double took = (double)(now_ns() - begun) / 1e9;
    drain();
    atomic_store(&stop_consumers, 1);
    int64_t all = 0;
    for (int c = 0; c < consumers; c++) {
        pthread_join(group[c].thread, NULL);
        all += atomic_load(&group[c].seen);
    }
    printf("{\"sent\":%lld,\"acked\":%lld,\"failed\":%lld,\"seen\":%" PRId64 ",\"size\":%d,\"seconds\":%.3f,",
           (long long)sent, (long long)acked, (long long)failed, all, size, took);
    print("paced", &paced_times);
    print("ack", &ack_times);
    print("end_to_end", &seen_times);
    printf("\"series\":[");
    for (int s = 0; consumers && s < seconds; s++)
        printf("%s[%d,%.3f,%.3f,%.3f]", s ? "," : "", s, quantile(&by_second[s], 0.5), quantile(&by_second[s], 0.99),
               (double)by_second[s].max / 1e6);
    printf("]}\n");
    return failed || (consumers && all < acked * consumers);
}
