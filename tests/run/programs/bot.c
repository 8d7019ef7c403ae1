#define _GNU_SOURCE
/* Kraken's hosts are fixed in here, and whom to trust is left to OpenSSL's own defaults.
   It prints the answer of a REST call, and the first message of a WebSocket. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static SSL *call(SSL_CTX *context, const char *host)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, "443", &wanted, &found))
        fail("no such host");
    int end = socket(found->ai_family, found->ai_socktype, 0);
    if (connect(end, found->ai_addr, found->ai_addrlen))
        fail("no connection");
    freeaddrinfo(found);
    SSL *tls = SSL_new(context);
    SSL_set_fd(tls, end);
    SSL_set_tlsext_host_name(tls, host);
    SSL_set1_host(tls, host);
    if (SSL_connect(tls) != 1)
        fail("no TLS");
    return tls;
}

static void say(SSL *tls, const char *request)
{
    if (SSL_write(tls, request, (int)strlen(request)) <= 0)
        fail("nothing can be sent");
}

static void hear(SSL *tls, unsigned char *into, size_t size)
{
    for (size_t heard = 0, some; heard < size; heard += some)
        if (!SSL_read_ex(tls, into + heard, size - heard, &some))
            fail("the connection has ended");
}

/* Read up to the end of an HTTP head. */
static void hear_head(SSL *tls, char *head, size_t size)
{
    size_t length = 0;
    do {
        if (length + 1 == size)
            fail("a long head");
        hear(tls, (unsigned char *)head + length, 1);
        head[++length] = 0;
    } while (length < 4 || strcmp(head + length - 4, "\r\n\r\n"));
}

int main(void)
{
    static char head[8192], text[65536];
    unsigned char frame[4];
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_default_verify_paths(context);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);

    SSL *rest = call(context, "api.kraken.com");
    say(rest, "GET /0/public/Time HTTP/1.1\r\nHost: api.kraken.com\r\n\r\n");
    hear_head(rest, head, sizeof head);
    char *length = strcasestr(head, "content-length:");
    size_t size = length ? strtoul(length + 15, NULL, 10) : 0;
    if (size == 0 || size >= sizeof text)
        fail(head);
    hear(rest, (unsigned char *)text, size);
    printf("%.*s\n", (int)size, text);

    SSL *feed = call(context, "ws.kraken.com");
    say(feed, "GET /v2 HTTP/1.1\r\nHost: ws.kraken.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    hear_head(feed, head, sizeof head);
    if (strncmp(head, "HTTP/1.1 101 ", 13))
        fail(head);
    hear(feed, frame, 2);
    size = frame[1];
    if (size == 126) {
        hear(feed, frame + 2, 2);
        size = (size_t)frame[2] << 8 | frame[3];
    }
    if (frame[0] != 0x81 || frame[1] > 126)
        fail("not a message of text");
    hear(feed, (unsigned char *)text, size);
    printf("%.*s\n", (int)size, text);
    return 0;
}
