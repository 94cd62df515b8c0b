/*
 * Times several commands in turn (A B C A B C …), so that a machine whose speed drifts is fair to all of them, and
 * from a small process, so that starting them costs nothing.
 *
 *   turns ROUNDS WARMUP COMMAND… --- COMMAND… --- …
 *
 * A command that begins with the word `@DIR` runs with DIR as its root. Prints a line a command: its wall times in microseconds, round by round. A command that fails ends it with 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_COMMANDS = 16, MAX_ROUNDS = 2000 };
static uint32_t times[MAX_COMMANDS][MAX_ROUNDS];

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* In the child of vfork: its memory is the parent's. */
static void become(char **argv)
{
	int in = open("/dev/null", O_RDONLY), out = open("/dev/null", O_WRONLY);
	dup2(in, 0);
	dup2(out, 1);
	close(in);
	close(out);
	if (argv[0][0] == '@' && (chroot(argv[0] + 1) != 0 || chdir("/") != 0))
		_exit(127);
	if (argv[0][0] == '@')
		argv++;
	execvp(argv[0], argv);
	_exit(127);
}

static uint32_t run(char **argv)
{
	int status;
	uint64_t start = now();
	pid_t pid = vfork();
	if (pid == 0)
		become(argv);
	if (pid < 0) {
		perror("turns: vfork");
		exit(1);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	uint64_t end = now();
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "turns: %s ended with status %#x\n", argv[argv[0][0] == '@'], (unsigned)status);
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
