/*
 * The floor: the least a container costs on this machine. A static program that clones the namespaces, mounts
 * overlay, proc, sysfs and tmpfs, pivots and executes `true`, with nothing decided, checked or cleaned.
 *
 *   floor LOWER SCRATCH PROGRAM
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char stack[64 * 1024];
static char **arguments;

static void must(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
		_exit(125);
	}
}

static int child(void *unused)
{
	char options[4096], path[1024];
	(void)unused;
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
	snprintf(path, sizeof path, "%s/merged", arguments[2]);
	snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work", arguments[1], arguments[2],
		 arguments[2]);
	must(mount("overlay", path, "overlay", 0, options), "overlay");
	must(chdir(path), "chdir");
	must(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "proc");
	must(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL), "sysfs");
	must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k"), "tmpfs");
	must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "umount");
	must(chdir("/"), "chdir /");
	char *argv[] = {arguments[3], NULL}, *envp[] = {NULL};
	execve(arguments[3], argv, envp);
	must(-1, "execve");
	return 1;
}

int main(int argc, char **argv)
{
	char path[1024];
	static const char *const directories[] = {"upper", "work", "merged"};
	if (argc != 4)
		return 2;
	arguments = argv;
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/%s", argv[2], directories[i]);
		mkdir(path, 0755);
	}
	int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP | SIGCHLD;
	int pid = clone(child, stack + sizeof stack, flags, NULL), status;
	must(pid, "clone");
	must(waitpid(pid, &status, 0), "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
