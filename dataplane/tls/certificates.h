// Certificates and keys from files, and the names they are shown for.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "dataplane/tls/context_impl.h"

namespace holdfast {

struct LoadedCertificate {
    OpensslPtr<X509, X509_free> certificate;
    std::vector<OpensslPtr<X509, X509_free>> issuers;
    OpensslPtr<EVP_PKEY, EVP_PKEY_free> key;
    std::vector<std::string> names;  // lower case
};

// The reason names the file.
std::expected<LoadedCertificate, std::string> load_certificate(const TlsCertificateFiles& files);

// "reason" of the oldest error in OpenSSL's queue, which is emptied.
std::string openssl_error();

std::string lower_case(std::string_view text);

}  // namespace holdfast
