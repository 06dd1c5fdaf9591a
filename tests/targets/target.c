/* Serves as tests/targets/__init__.py says: target. A worker that stalls reads from a connection to its own port,
 * which nobody answers. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in silent;

static __attribute__((noinline)) void stall(void)
{
	char byte;
	int backend = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(backend, (struct sockaddr *)&silent, sizeof silent) == 0)
		while (read(backend, &byte, 1) > 0)
			;
	close(backend);
}

static void *serve(void *argument)
{
	int client = (int)(intptr_t)argument;
	char first = 0;

	if (read(client, &first, 1) == 1) {
		if (first == 's')
			stall();
		if (write(client, "ok\n", 3) != 3)
			perror("write");
	}
	close(client);
	return NULL;
}

static int listen_on_loopback(struct sockaddr_in *address)
{
	socklen_t length = sizeof *address;
	int listening = socket(AF_INET, SOCK_STREAM, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(listening, (struct sockaddr *)address, sizeof *address) || listen(listening, 50) ||
	    getsockname(listening, (struct sockaddr *)address, &length))
		perror("listen");
	return listening;
}

int main(void)
{
	struct sockaddr_in address;
	int listening = listen_on_loopback(&address);

	listen_on_loopback(&silent);
	printf("up %d\n", ntohs(address.sin_port));
	fflush(stdout);
	for (;;) {
		pthread_t thread;
		int client = accept(listening, NULL, NULL);

		if (client < 0 || pthread_create(&thread, NULL, serve, (void *)(intptr_t)client))
			return 1;
		pthread_detach(thread);
	}
}
