/* Three threads at a lock, one that reads from a silent peer, one idle; with an argument, so many more at the lock. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_to_do = PTHREAD_COND_INITIALIZER;
static struct sockaddr_in backend = {.sin_family = AF_INET};

static void __attribute__((noinline)) wait_for_stock(void) {
  pthread_mutex_lock(&lock);
  pthread_mutex_unlock(&lock);
}

static void *handle(void *unused) {
  wait_for_stock();
  return unused;
}

static void *call_backend(void *unused) {
  char answer[8];
  int connection = socket(AF_INET, SOCK_STREAM, 0);
  connect(connection, (struct sockaddr *)&backend, sizeof backend);
  if (read(connection, answer, sizeof answer) < 0) perror("read");
  return unused;
}

static void *idle(void *unused) {
  pthread_mutex_lock(&other);
  for (;;) pthread_cond_wait(&work_to_do, &other);
  return unused;
}

int main(int count, char **arguments) {
  int at_lock = count > 1 ? atoi(arguments[1]) : 3;
  socklen_t size = sizeof backend;
  pthread_t thread;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  backend.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(listener, (struct sockaddr *)&backend, sizeof backend);
  listen(listener, 8);
  getsockname(listener, (struct sockaddr *)&backend, &size);
  pthread_mutex_lock(&lock);
  for (int number = 0; number < at_lock; number++) pthread_create(&thread, NULL, handle, NULL);
  pthread_create(&thread, NULL, call_backend, NULL);
  pthread_create(&thread, NULL, idle, NULL);
  printf("%d\n", ntohs(backend.sin_port));
  fflush(stdout);
  for (;;) pause();
}
