/*
 * Times several commands in turn (A B C A B C …), so that a machine whose speed drifts is fair to all of them, and
 * from a small process, so that starting them costs nothing.
 *
 *   turns ROUNDS WARMUP COMMAND… --- COMMAND… --- …
 *
 * Prints a line a command: its wall times in microseconds, round by round. A command that fails ends it with 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
enum { MAX_COMMANDS = 16, MAX_ROUNDS = 2000 };
static uint32_t times[MAX_COMMANDS][MAX_ROUNDS];

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint32_t run(char **argv)
{
	pid_t pid;
	int status;
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	uint64_t start = now();
	int error = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	if (error != 0) {
		fprintf(stderr, "turns: %s: %s\n", argv[0], strerror(error));
		exit(1);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	uint64_t end = now();
	posix_spawn_file_actions_destroy(&actions);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "turns: %s ended with status %#x\n", argv[0], (unsigned)status);
		exit(1);
	}
	return (uint32_t)(end - start);
}

int main(int argc, char **argv)
{
	char **commands[MAX_COMMANDS];
	int count = 0, rounds = argc > 3 ? atoi(argv[1]) : 0, warmup = argc > 3 ? atoi(argv[2]) : 0;
	if (rounds < 1 || rounds > MAX_ROUNDS)
		return 2;
	commands[count++] = argv + 3;
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "---") != 0)
			continue;
		argv[i] = NULL;
		if (count == MAX_COMMANDS)
			return 2;
		commands[count++] = argv + i + 1;
	}
	for (int round = -warmup; round < rounds; round++)
		for (int c = 0; c < count; c++) {
			uint32_t t = run(commands[c]);
			if (round >= 0)
				times[c][round] = t;
		}
	for (int c = 0; c < count; c++) {
		for (int round = 0; round < rounds; round++)
			printf("%s%u", round ? " " : "", times[c][round]);
		putchar('\n');
	}
	return 0;
}
