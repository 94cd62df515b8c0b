/*
 * Clients of a registry that cost next to nothing themselves, so that the server is what is measured: bodies of answers are
 * counted and thrown away by the kernel (as `iperf3 --skip-rx-copy` does), bodies of requests come from one buffer.
 *
 *   registry-load PORT SECONDS CLIENTS get PATH
 *   registry-load PORT SECONDS CLIENTS put|chunked NAME BYTES PIECE DIGEST…
 *
 * `get` asks for PATH over and over. `put` uploads blobs as skopeo and podman do what they have ready (POST, PATCH with all of it and its
 * Content-Length, an empty PUT), `chunked` as docker does (the PATCH in chunks of 32 KiB, as Go writes them). A blob is the file PIECE (1 MiB) over and
 * over, BYTES (a multiple) in all, with N in each piece's first byte for client N; the Nth digest is that. After SECONDS each client
 * ends what it is at, and what it took until then is divided by that time, so that no upload is counted before it is acknowledged.
 * Prints the bytes of bodies, the requests, and the seconds. The clients share the last processor: what is left of the machine is the server's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES = 16384, PIECE_BYTES = 1 << 20, MOST_CLIENTS = 64, CHUNK_BYTES = 32768 };

static const char *path, *const *digests;
static long long upload_bytes;
static char piece_bytes[PIECE_BYTES];
static bool chunked;
static volatile bool over;
static struct sockaddr_in address = {.sin_family = AF_INET};
static unsigned long long body_bytes, requests;

static void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static void send_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
		if (sent <= 0)
			fail("send");
		bytes += sent;
		length -= (size_t)sent;
	}
}

/* A server may end a connection after any answer. */
static int connect_again(int fd)
{
	if (fd >= 0)
		close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		fail("connect");
	return fd;
}

static int ask(int fd, const char *format, ...)
{
	char text[2048];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	send_all(fd, text, (size_t)length);
	return fd;
}

/* Reads an answer; its body is thrown away. `head` keeps the headers. The connection for the next request. */
static int answer(int fd, char *head, int status)
{
	size_t have = 0;
	char *end;
	do {
		ssize_t got = recv(fd, head + have, HEAD_BYTES - 1 - have, 0);
		if (got <= 0)
			fail("answer");
		have += (size_t)got;
		head[have] = 0;
	} while ((end = strstr(head, "\r\n\r\n")) == NULL);
	if (atoi(head + 9) != status) {
		fprintf(stderr, "registry-load: %s\n", head);
		_exit(1);
	}
	char *length = strcasestr(head, "\r\ncontent-length:");
	long long left = (length == NULL ? 0 : atoll(length + 17)) - (long long)(head + have - (end + 4));
	unsigned long long counted = (unsigned long long)(head + have - (end + 4));
	while (left > 0) {
		ssize_t got = recv(fd, NULL, (size_t)(left < PIECE_BYTES ? left : PIECE_BYTES), MSG_TRUNC);
		if (got <= 0)
			fail("body");
		left -= got;
		__atomic_add_fetch(&body_bytes, counted + (unsigned long long)got, __ATOMIC_RELAXED);
		counted = 0;
	}
	__atomic_add_fetch(&body_bytes, counted, __ATOMIC_RELAXED);
	__atomic_add_fetch(&requests, 1, __ATOMIC_RELAXED);
	return strcasestr(head, "\r\nconnection: close") == NULL ? fd : connect_again(fd);
}

static int get(int fd, char *head)
{
	ask(fd, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: application/vnd.oci.image.manifest.v1+json, */*\r\n\r\n", path);
	return answer(fd, head, 200);
}

/* The path where the upload goes on, to be freed. */
static char *keep_location(char *head)
{
	char *location = strcasestr(head, "\r\nlocation:");
	if (location == NULL)
		fail("no location");
	location += strlen("\r\nlocation:");
	location += strspn(location, " ");
	location = strndup(location, strcspn(location, "\r"));
	if (location == NULL)
		fail("memory");
	if (strncmp(location, "http://", 7) != 0)
		return location;
	char *rest = strdup(strchr(location + 7, '/'));
	free(location);
	return rest;
}

static int put(int fd, char *head, long client, const char *piece, size_t piece_length)
{
	ask(fd, "POST /v2/%s/blobs/uploads/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", path);
	fd = answer(fd, head, 202);
	char *location = keep_location(head);
	char length[64] = "Transfer-Encoding: chunked";
	if (!chunked)
		snprintf(length, sizeof length, "Content-Length: %lld", upload_bytes);
	ask(fd, "PATCH %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n%s\r\n\r\n", location, length);
	for (long long left = upload_bytes; left > 0; left -= PIECE_BYTES) {
		send_all(fd, piece, piece_length);
		__atomic_add_fetch(&body_bytes, PIECE_BYTES, __ATOMIC_RELAXED);
	}
	if (chunked)
		send_all(fd, "0\r\n\r\n", 5);
	free(location);
	fd = answer(fd, head, 202);
	location = keep_location(head);
	ask(fd, "PUT %s%cdigest=%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", location,
	    strchr(location, '?') == NULL ? '?' : '&', digests[client]);
	free(location);
	return answer(fd, head, 201);
}

/* What this client sends over and over; its length on the way. */
static size_t frame_piece(char *to, long client)
{
	char *at = to;
	for (size_t from = 0; from < PIECE_BYTES; from += CHUNK_BYTES) {
		if (chunked)
			at += sprintf(at, "%x\r\n", CHUNK_BYTES);
		memcpy(at, piece_bytes + from, CHUNK_BYTES);
		if (from == 0)
			*at = (char)client;
		at += CHUNK_BYTES;
		if (chunked)
			at += sprintf(at, "\r\n");
	}
	return (size_t)(at - to);
}

static void *run(void *number)
{
	long client = (long)number;
	char *head = malloc(HEAD_BYTES), *piece = malloc(2 * PIECE_BYTES);
	if (head == NULL || piece == NULL)
		fail("memory");
	int fd = connect_again(-1);
	size_t piece_length = frame_piece(piece, client);
	while (!over) {
		if (digests == NULL)
			fd = get(fd, head);
		else
			fd = put(fd, head, client, piece, piece_length);
	}
	return NULL;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	double seconds = atof(argv[2]);
	int clients = atoi(argv[3]);
	path = argv[5];
	address.sin_port = htons((unsigned short)atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (clients < 1 || clients > MOST_CLIENTS)
		return 2;
	chunked = strcmp(argv[4], "chunked") == 0;
	if (chunked || strcmp(argv[4], "put") == 0) {
		if (argc < 8 + clients)
			return 2;
		upload_bytes = atoll(argv[6]);
		FILE *piece = fopen(argv[7], "r");
		if (upload_bytes % PIECE_BYTES != 0 || piece == NULL || fread(piece_bytes, PIECE_BYTES, 1, piece) != 1)
			return 2;
		digests = (const char *const *)argv + 8;
	}
	cpu_set_t last;
	CPU_ZERO(&last);
	CPU_SET((int)sysconf(_SC_NPROCESSORS_ONLN) - 1, &last);
	sched_setaffinity(0, sizeof last, &last);
	double start = now();
	pthread_t threads[MOST_CLIENTS];
	for (long client = 0; client < clients; client++) {
		if (pthread_create(&threads[client], NULL, run, (void *)client) != 0)
			return 1;
	}
	usleep((unsigned)(seconds * 1e6));
	over = true;
	for (long client = 0; client < clients; client++)
		pthread_join(threads[client], NULL);
	printf("%llu %llu %.6f\n", body_bytes, requests, now() - start);
	return 0;
}
