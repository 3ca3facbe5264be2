#include "dataplane/tls/certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstring>

namespace holdfast {
namespace {

using BioPtr = OpensslPtr<BIO, BIO_free>;

std::string at(const std::string& file, const std::string& reason) { return file + ": " + reason; }

// Never asks a terminal for a passphrase.
int no_passphrase(char*, int, int, void*) { return -1; }

std::expected<BioPtr, std::string> open_file(const std::string& file) {
    BioPtr bio(BIO_new_file(file.c_str(), "r"));
    if (bio) return bio;
    const int error = errno;
    ERR_clear_error();
    return std::unexpected(at(file, std::strerror(error)));
}

void add_subject_names(X509* certificate, std::vector<std::string>& names) {
    auto* alternatives = static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; alternatives != nullptr && i < sk_GENERAL_NAME_num(alternatives); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives, i);
        if (name->type != GEN_DNS) continue;
        const auto* text = ASN1_STRING_get0_data(name->d.dNSName);
        names.push_back(lower_case({reinterpret_cast<const char*>(text),
                                    static_cast<size_t>(ASN1_STRING_length(name->d.dNSName))}));
    }
    GENERAL_NAMES_free(alternatives);
    if (!names.empty()) return;
    char common[256];
    const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                               common, sizeof common);
    if (size > 0) names.push_back(lower_case({common, static_cast<size_t>(size)}));
}

}  // namespace

std::string lower_case(std::string_view text) {
    std::string lower(text);
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    return lower;
}

std::string openssl_error() {
    const char* reason = ERR_reason_error_string(ERR_peek_error());
    std::string text = reason != nullptr ? reason : "unknown error";
    ERR_clear_error();
    return text;
}

std::expected<LoadedCertificate, std::string> load_certificate(const TlsCertificateFiles& files) {
    ERR_clear_error();
    LoadedCertificate loaded;
    auto chain = open_file(files.chain);
    if (!chain) return std::unexpected(chain.error());
    loaded.certificate.reset(PEM_read_bio_X509(chain->get(), nullptr, no_passphrase, nullptr));
    if (!loaded.certificate)
        return std::unexpected(at(files.chain, "no certificate: " + openssl_error()));
    while (X509* issuer = PEM_read_bio_X509(chain->get(), nullptr, no_passphrase, nullptr))
        loaded.issuers.emplace_back(issuer);
    const unsigned long end = ERR_peek_last_error();
    if (ERR_GET_REASON(end) != PEM_R_NO_START_LINE)
        return std::unexpected(at(files.chain, "a broken certificate: " + openssl_error()));
    ERR_clear_error();

    auto key = open_file(files.key);
    if (!key) return std::unexpected(key.error());
    loaded.key.reset(PEM_read_bio_PrivateKey(key->get(), nullptr, no_passphrase, nullptr));
    if (!loaded.key) return std::unexpected(at(files.key, "no private key: " + openssl_error()));
    if (X509_check_private_key(loaded.certificate.get(), loaded.key.get()) != 1) {
        ERR_clear_error();
        return std::unexpected(at(files.key, "not the key of " + files.chain));
    }
    for (const std::string& name : files.names) loaded.names.push_back(lower_case(name));
    if (loaded.names.empty()) add_subject_names(loaded.certificate.get(), loaded.names);
    return loaded;
}

}  // namespace holdfast
