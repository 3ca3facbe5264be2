#include "controlplane/api/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "controlplane/api/fake_node_view.h"
#include "controlplane/api/limits.h"

namespace holdfast {
namespace {

// Sends bytes as they are and reads until the server closes.
std::string exchange(int fd, const std::string& bytes) {
    EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    std::string answer;
    char buffer[4096];
    for (ssize_t n; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
        answer.append(buffer, static_cast<size_t>(n));
    ::close(fd);
    return answer;
}

class ServerTest : public testing::Test {
protected:
    HttpHandler handler() {
        return [this](const ApiRequest& request) -> HttpReply {
            const ApiReply reply = api.handle(request);
            return {reply.status, reply.body};
        };
    }
    int connect_unix() {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        const int rc = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
        if (rc == 0) return fd;
        ::close(fd);
        return -1;
    }
    std::string path = testing::TempDir() + "holdfast_api_" + std::to_string(::getpid()) + ".sock";
    FakeNodeView view;
    Api api{view, "0.1.0"};
};

TEST_F(ServerTest, SpeaksHttpOverAUnixSocket) {
    auto server = HttpServer::on_unix_socket(path, handler());
    ASSERT_TRUE(server) << server.error();
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0660u);
    const std::string answer = exchange(
        connect_unix(), "GET /v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
    EXPECT_NE(answer.find("{\"version\":\"0.1.0\"}"), std::string::npos) << answer;
}

TEST_F(ServerTest, AnEscapedSessionInThePathIsUnderstood) {
    auto server = HttpServer::on_unix_socket(path, handler());
    ASSERT_TRUE(server) << server.error();
    const std::string answer = exchange(
        connect_unix(),
        "PUT /v1/sessions/198.51.100.101%3A40000%3E198.51.100.10%3A80/attributes/a HTTP/1.1\r\n"
        "Host: x\r\nConnection: close\r\nContent-Length: 13\r\n\r\n{\"value\":\"v\"}");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
}

TEST_F(ServerTest, RefusesWhatIsTooLong) {
    auto server = HttpServer::on_unix_socket(path, handler());
    ASSERT_TRUE(server) << server.error();
    const std::string body(kMaxApiBody + 1, 'x');
    std::string answer = exchange(connect_unix(),
                                  "POST /v1/handover HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                  "Content-Length: " +
                                      std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 413")) << answer;
    answer = exchange(connect_unix(), "PUT /" + std::string(7'000, 'a') +
                                          " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 414")) << answer;
}

TEST_F(ServerTest, NonsenseIsAnswered) {
    auto server = HttpServer::on_unix_socket(path, handler());
    ASSERT_TRUE(server) << server.error();
    const std::string answer = exchange(connect_unix(), "no http at all\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400")) << answer;
}

TEST_F(ServerTest, StoppingRemovesTheSocket) {
    auto server = HttpServer::on_unix_socket(path, handler());
    ASSERT_TRUE(server) << server.error();
    const int idle = connect_unix();
    (*server)->stop();
    EXPECT_NE(::access(path.c_str(), F_OK), 0);
    EXPECT_EQ(connect_unix(), -1);
    ::close(idle);
}

TEST_F(ServerTest, ALeftOverSocketIsReplaced) {
    auto first = HttpServer::on_unix_socket(path, handler());
    ASSERT_TRUE(first);
    auto second = HttpServer::on_unix_socket(path, handler());
    EXPECT_TRUE(second) << second.error();
}

TEST_F(ServerTest, AnImpossiblePathIsTold) {
    const auto server = HttpServer::on_unix_socket("/nonexistent/api.sock", handler());
    ASSERT_FALSE(server);
    EXPECT_TRUE(server.error().starts_with("cannot listen on /nonexistent/api.sock"));
}

TEST_F(ServerTest, ListensOnTcp) {
    auto server = HttpServer::on_tcp({IpAddress::v4(0x7f000001), 0}, handler());
    ASSERT_TRUE(server) << server.error();
    ASSERT_NE((*server)->port(), 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons((*server)->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const std::string answer =
        exchange(fd, "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
    const auto again =
        HttpServer::on_tcp({IpAddress::v4(0x7f000001), (*server)->port()}, handler());
    EXPECT_FALSE(again);
}

}  // namespace
}  // namespace holdfast
