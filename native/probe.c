/*
 * The program of the embedded `hello` image, and the witness of the tests.
 *
 * It looks at itself through /proc and prints what it is made of: as text for people, with `--json` as one JSON
 * object for programs. It is static, so that an image needs nothing but this one file.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;

static const char *const namespaces[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
static const size_t namespace_count = sizeof namespaces / sizeof namespaces[0];

/* Reads a whole small file into a static-size buffer; an unreadable file is an empty one. */
static size_t slurp(const char *path, char *buffer, size_t size)
{
	size_t used = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n;
		while (used < size - 1 && (n = read(fd, buffer + used, size - 1 - used)) > 0)
			used += (size_t)n;
		close(fd);
	}
	buffer[used] = 0;
	return used;
}

/* The value of `key:` in /proc/self/status, trimmed, or "". */
static const char *status_field(const char *status, const char *key, char *out, size_t size)
{
	size_t length = strlen(key);
	out[0] = 0;
	for (const char *line = status; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (strncmp(line, key, length) != 0 || line[length] != ':')
			continue;
		const char *value = line + length + 1;
		while (*value == ' ' || *value == '\t')
			value++;
		size_t n = strcspn(value, "\n");
		if (n >= size)
			n = size - 1;
		memcpy(out, value, n);
		out[n] = 0;
		break;
	}
	return out;
}

static void json_string(const char *text)
{
	putchar('"');
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			printf("\\%c", *c);
		else if (*c < 0x20 || *c == 0x7f)
			printf("\\u%04x", *c);
		else
			putchar(*c);
	}
	putchar('"');
}

static void json_field(const char *key, const char *value)
{
	printf(",");
	json_string(key);
	printf(":");
	json_string(value);
}

/* A multi-line file as an array of its lines. */
static void json_lines(const char *key, char *text)
{
	printf(",");
	json_string(key);
	printf(":[");
	bool first = true;
	for (char *line = text; *line;) {
		char *end = strchr(line, '\n');
		if (end)
			*end = 0;
		if (!first)
			putchar(',');
		first = false;
		json_string(line);
		if (!end)
			break;
		line = end + 1;
	}
	putchar(']');
}

static const char *seccomp_mode(const char *mode)
{
	return strcmp(mode, "2") == 0 ? "filter" : strcmp(mode, "1") == 0 ? "strict" : "none";
}

static const char *const rlimit_names[] = {
	[RLIMIT_CPU] = "RLIMIT_CPU", [RLIMIT_FSIZE] = "RLIMIT_FSIZE", [RLIMIT_DATA] = "RLIMIT_DATA",
	[RLIMIT_STACK] = "RLIMIT_STACK", [RLIMIT_CORE] = "RLIMIT_CORE", [RLIMIT_RSS] = "RLIMIT_RSS",
	[RLIMIT_NPROC] = "RLIMIT_NPROC", [RLIMIT_NOFILE] = "RLIMIT_NOFILE", [RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",
	[RLIMIT_AS] = "RLIMIT_AS", [RLIMIT_LOCKS] = "RLIMIT_LOCKS", [RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
	[RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE", [RLIMIT_NICE] = "RLIMIT_NICE", [RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",
	[RLIMIT_RTTIME] = "RLIMIT_RTTIME",
};

/* One path of the masked, read-only or device lists as the process finds it. */
static void json_path(const char *path)
{
	struct stat st;
	struct statvfs fs;
	json_string(path);
	if (lstat(path, &st) != 0) {
		printf(":{\"error\":%d}", errno);
		return;
	}
	bool readonly = statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY);
	char target[4096] = "";
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(path, target, sizeof target - 1);
		target[n > 0 ? n : 0] = 0;
	}
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int open_error = fd < 0 ? errno : 0;
	long long bytes = 0;
	if (fd >= 0 && S_ISREG(st.st_mode)) {
		char buffer[4096];
		ssize_t n;
		while (bytes < 65536 && (n = read(fd, buffer, sizeof buffer)) > 0)
			bytes += n;
	}
	if (fd >= 0)
		close(fd);
	long entries = -1;
	DIR *dir = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
	if (dir) {
		entries = 0;
		for (struct dirent *e; (e = readdir(dir));)
			entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
		closedir(dir);
	}
	printf(":{\"mode\":%u,\"uid\":%u,\"gid\":%u,\"major\":%u,\"minor\":%u,\"readonly\":%s,\"openError\":%d,"
	       "\"readBytes\":%lld,\"entries\":%ld,\"target\":",
	       (unsigned)st.st_mode, (unsigned)st.st_uid, (unsigned)st.st_gid, (unsigned)major(st.st_rdev),
	       (unsigned)minor(st.st_rdev), readonly ? "true" : "false", open_error, bytes, entries);
	json_string(target);
	putchar('}');
}

static void json_ids(const char *key, const char *values)
{
	printf(",");
	json_string(key);
	printf(":[");
	bool first = true;
	for (const char *c = values; *c;) {
		char *end;
		unsigned long id = strtoul(c, &end, 10);
		if (end == c)
			break;
		printf("%s%lu", first ? "" : ",", id);
		first = false;
		for (c = end; *c == ' ' || *c == '\t'; c++)
			;
	}
	putchar(']');
}

static void print_descriptors(void)
{
	printf(",\"descriptors\":{");
	DIR *dir = opendir("/proc/self/fd");
	bool first = true;
	for (struct dirent *e; dir && (e = readdir(dir));) {
		char target[4096], path[64];
		if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(dir))
			continue;
		snprintf(path, sizeof path, "/proc/self/fd/%.20s", e->d_name);
		ssize_t n = readlink(path, target, sizeof target - 1);
		target[n > 0 ? n : 0] = 0;
		if (!first)
			putchar(',');
		first = false;
		json_string(e->d_name);
		putchar(':');
		json_string(target);
	}
	if (dir)
		closedir(dir);
	putchar('}');
}

/* Everything a test compares with the plan. The paths after `--json` are looked at one by one. */
static int print_json(int argc, char **argv)
{
	static char status[16384], text[262144], value[8192];
	struct utsname uts;
	slurp("/proc/self/status", status, sizeof status);
	uname(&uts);
	mode_t mask = umask(0);
	umask(mask);
	printf("{\"pid\":%d,\"ppid\":%d,\"sid\":%d,\"umask\":%u", getpid(), getppid(), getsid(0), (unsigned)mask);
	json_field("hostname", uts.nodename);
	json_field("domainname", uts.domainname);
	json_field("machine", uts.machine);
	json_field("cwd", getcwd(value, sizeof value) ? value : "");
	json_ids("uid", status_field(status, "Uid", value, sizeof value));
	json_ids("gid", status_field(status, "Gid", value, sizeof value));
	json_ids("groups", status_field(status, "Groups", value, sizeof value));
	static const char *const fields[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
					     "Cpus_allowed_list"};
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		json_field(fields[i], status_field(status, fields[i], value, sizeof value));
	printf(",\"namespaces\":{");
	for (size_t i = 0; i < namespace_count; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/self/ns/%s", namespaces[i]);
		ssize_t n = readlink(path, value, sizeof value - 1);
		value[n > 0 ? n : 0] = 0;
		printf("%s", i ? "," : "");
		json_string(namespaces[i]);
		putchar(':');
		json_string(value);
	}
	printf("},\"rlimits\":{");
	for (int i = 0; i < (int)(sizeof rlimit_names / sizeof rlimit_names[0]); i++) {
		struct rlimit limit;
		getrlimit((__rlimit_resource_t)i, &limit);
		printf("%s\"%s\":[\"%llu\",\"%llu\"]", i ? "," : "", rlimit_names[i], (unsigned long long)limit.rlim_cur,
		       (unsigned long long)limit.rlim_max);
	}
	printf("},\"args\":[");
	for (int i = 0; i < argc; i++) {
		if (i)
			putchar(',');
		json_string(argv[i]);
	}
	printf("],\"env\":[");
	for (char **e = environ; *e; e++) {
		if (e != environ)
			putchar(',');
		json_string(*e);
	}
	putchar(']');
	static const char *const files[] = {"mountinfo", "uid_map", "gid_map", "cgroup", "setgroups", "oom_score_adj",
					    "attr/current", "personality"};
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/self/%s", files[i]);
		slurp(path, text, sizeof text);
		json_lines(files[i], text);
	}
	slurp("/proc/net/dev", text, sizeof text);
	json_lines("netdev", text);
	print_descriptors();
	printf(",\"paths\":{");
	bool first = true;
	for (int i = 2; i < argc; i++) {
		if (argv[i][0] != '/')
			continue;
		if (!first)
			putchar(',');
		first = false;
		json_path(argv[i]);
	}
	printf("},\"files\":{");
	first = true;
	for (int i = 2; i < argc; i++) {
		if (argv[i][0] != '@')
			continue;
		slurp(argv[i] + 1, text, sizeof text);
		if (!first)
			putchar(',');
		first = false;
		json_string(argv[i] + 1);
		putchar(':');
		json_string(text);
	}
	printf("}}\n");
	return 0;
}

/*
 * The kernel numbers its first namespaces with fixed inodes (include/uapi/linux/nsfs.h), so a process can tell.
 * Before Linux 6.17 the first mount and network namespaces had the first free numbers of a boot instead.
 */
static bool is_first_namespace(const char *name, const char *id)
{
	static const struct {
		const char *name, *id;
	} first[] = {{"cgroup", "[4026531835]"}, {"ipc", "[4026531839]"}, {"pid", "[4026531836]"},
		     {"time", "[4026531834]"},   {"user", "[4026531837]"}, {"uts", "[4026531838]"},
		     {"mnt", "[4026531832]"},    {"mnt", "[4026531840]"},  {"mnt", "[4026531841]"},
		     {"net", "[4026531833]"},    {"net", "[4026531840]"},  {"net", "[4026531992]"}};
	for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
		if (strcmp(first[i].name, name) == 0 && strcmp(first[i].id, id) == 0)
			return true;
	return false;
}

static void row(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void row(const char *label, const char *format, ...)
{
	va_list args;
	printf("  %-16s", label);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void print_namespaces(void)
{
	char path[64], id[64];
	for (size_t i = 0; i < namespace_count; i++) {
		snprintf(path, sizeof path, "/proc/self/ns/%s", namespaces[i]);
		ssize_t n = readlink(path, id, sizeof id - 1);
		if (n <= 0)
			continue;
		id[n] = 0;
		const char *number = strchr(id, '[') ? strchr(id, '[') : id;
		const char *verdict = is_first_namespace(namespaces[i], number) ? "the host's" : "own";
		row(i ? "" : "namespaces", "%-7s %-13s %s", namespaces[i], number, verdict);
	}
}

static void print_map(const char *label, const char *path)
{
	char text[4096];
	slurp(path, text, sizeof text);
	bool first = true;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		unsigned inside, outside, size;
		if (sscanf(line, "%u %u %u", &inside, &outside, &size) == 3)
			row(first ? label : "", "%u..%u here are %u..%u on the host", inside, inside + size - 1, outside,
			    outside + size - 1);
		first = false;
	}
}

static int count_bits(const char *hex)
{
	return __builtin_popcountll(strtoull(hex, NULL, 16));
}

static void print_mounts(void)
{
	static char text[262144];
	slurp("/proc/self/mountinfo", text, sizeof text);
	bool first = true;
	for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char point[1024], flags[256], type[64] = "";
		char *tail = strstr(line, " - ");
		if (sscanf(line, "%*d %*d %*s %*s %1023s %255s", point, flags) != 2 || !tail)
			continue;
		sscanf(tail, " - %63s", type);
		if (strcmp(point, "/") == 0)
			row("root mount", "%s (%s)", type, flags);
	}
	slurp("/proc/self/mountinfo", text, sizeof text);
	for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char point[1024], flags[256], type[64] = "";
		char *tail = strstr(line, " - ");
		if (sscanf(line, "%*d %*d %*s %*s %1023s %255s", point, flags) != 2 || !tail)
			continue;
		sscanf(tail, " - %63s", type);
		if (strcmp(point, "/") == 0)
			continue;
		row(first ? "mounts" : "", "%-30s %-8s %s", point, type, flags);
		first = false;
	}
}

static void print_cgroup(void)
{
	char text[8192];
	slurp("/proc/self/cgroup", text, sizeof text);
	bool first = true;
	for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		row(first ? "cgroup" : "", "%s", line);
		first = false;
	}
}

int main(int argc, char **argv)
{
	static char status[16384];
	char a[256], b[256], c[256];
	struct utsname uts;
	if (argc > 1 && strcmp(argv[1], "--json") == 0)
		return print_json(argc, argv);
	slurp("/proc/self/status", status, sizeof status);
	uname(&uts);
	printf("Hello from inside a container. There is no such thing in the kernel; this is what I am made of:\n\n");
	row("process", "pid %d, uid %d, gid %d, on Linux %s %s", getpid(), getuid(), getgid(), uts.release, uts.machine);
	row("hostname", "%s", uts.nodename);
	print_namespaces();
	print_map("user mapping", "/proc/self/uid_map");
	print_map("group mapping", "/proc/self/gid_map");
	print_cgroup();
	status_field(status, "CapEff", a, sizeof a);
	status_field(status, "CapBnd", b, sizeof b);
	row("capabilities", "effective %s (%d), bounding %s (%d)", a, count_bits(a), b, count_bits(b));
	status_field(status, "Seccomp_filters", c, sizeof c);
	row("seccomp", "%s, %s filter(s)", seccomp_mode(status_field(status, "Seccomp", a, sizeof a)), c);
	row("no_new_privs", "%s", status_field(status, "NoNewPrivs", a, sizeof a));
	print_mounts();
	printf("\nSee who asked for each of these:  vitrine explain run hello\n");
	return 0;
}
