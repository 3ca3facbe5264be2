// The control API as a function from a request to a reply: what the socket speaks, without the
// socket.
//
//   GET  /v1/status  /v1/ring  /v1/version
//   GET  /v1/sessions?limit=&vip=&client=&state=
//   GET  /v1/sessions/<session>/attributes[/<name>]
//   PUT  /v1/sessions/<session>/attributes/<name>   {"value": "..."}
//   POST /v1/handover                               {"group": 1, "wait_ms": 2000}, both optional
//   PUT  /v1/backends/<service>/<backend>           {"weight": 0}; null: as configured
//
// A refusal is {"error": "a sentence"} with 400 (not understood), 404, 405, 409 (refused), 413 or
// 503 (a worker did not answer). Called from several threads. Throws nothing.
#pragma once

#include <map>
#include <string>

#include "controlplane/api/node_view.h"

namespace holdfast {

struct ApiRequest {
    std::string method;
    std::string path;  // decoded, without the query
    std::multimap<std::string, std::string> query;
    std::string body;
};

struct ApiReply {
    int status = 200;
    std::string body;  // JSON, one line, ended by a newline
};

class Api {
public:
    Api(NodeView& view, std::string version) : view_(view), version_(std::move(version)) {}
    ApiReply handle(const ApiRequest& request) const;

private:
    ApiReply status() const;
    ApiReply ring() const;
    ApiReply sessions(const ApiRequest& request) const;
    ApiReply session(const ApiRequest& request) const;
    ApiReply get_attributes(const SessionName& session, const std::string& name) const;
    ApiReply put_attribute(const SessionName& session, const std::string& name,
                           const std::string& body) const;
    ApiReply handover(const ApiRequest& request) const;
    ApiReply backend(const ApiRequest& request) const;

    NodeView& view_;
    std::string version_;
};

ApiReply api_error(int status, const std::string& sentence);

}  // namespace holdfast
