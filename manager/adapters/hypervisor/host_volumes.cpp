// See host_volumes.hpp.
#include "manager/adapters/hypervisor/host_volumes.hpp"

#include <array>
#include <cstring>

#include <fcntl.h>
#include <libvirt/virterror.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/adapters/hypervisor/domain_xml.hpp"
#include "manager/adapters/system/files.hpp"

namespace understudy::manager {
namespace {

constexpr const char* kHome = "/var/lib/libvirt/understudy/";
constexpr const char* kWholeSuffix = ".whole";  ///< exists beside a volume whose content arrived completely
constexpr std::size_t kDigestLetters = 16;
constexpr std::array kOwnVolumes{"disk.qcow2", "seed.img", "console.log"};

struct FreeVolume {
    void operator()(virStorageVolPtr volume) const { virStorageVolFree(volume); }
};
struct FreeStream {
    void operator()(virStreamPtr stream) const { virStreamFree(stream); }
};
using Volume = std::unique_ptr<virStorageVol, FreeVolume>;
using Stream = std::unique_ptr<virStream, FreeStream>;

std::string volume_name(NodeId id, const char* what) { return domain_name(id) + "." + what; }

tl::unexpected<Error> volume_failure(const std::string& what, const std::string& name) {
    return failure(ErrorCode::failed, "cannot " + what + " the volume " + name + " on its host: " + libvirt_words());
}

std::string path_of(const Volume& volume) { return take_text(virStorageVolGetPath(volume.get())); }

/// `more`: further elements of the description.
Result<Volume> make_volume(virStoragePoolPtr pool, const std::string& name, std::uint64_t bytes, const char* format, const std::string& more) {
    const std::string xml = "<volume><name>" + escape_xml(name) + "</name><capacity unit='bytes'>" + std::to_string(bytes) +
                            "</capacity><allocation>0</allocation><target><format type='" + format +
                            "'/><permissions><mode>0600</mode></permissions></target>" + more + "</volume>";
    Volume volume(virStorageVolCreateXML(pool, xml.c_str(), 0));
    if (!volume) return volume_failure("make", name);
    return volume;
}

Result<> remove_volume(virStoragePoolPtr pool, const std::string& name) {
    const Volume volume(virStorageVolLookupByName(pool, name.c_str()));
    if (!volume && libvirt_code() == VIR_ERR_NO_STORAGE_VOL) return {};
    if (!volume || virStorageVolDelete(volume.get(), 0) != 0) return volume_failure("remove", name);
    return {};
}

/// One made before an interruption makes way.
Result<Volume> make_afresh(virStoragePoolPtr pool, const std::string& name, std::uint64_t bytes, const char* format, const std::string& more = {}) {
    return remove_volume(pool, name).and_then([&] { return make_volume(pool, name, bytes, format, more); });
}

// What libvirt asks of whoever sends a file with holes.
int next_part(virStreamPtr, char* part, std::size_t length, void* file) {
    return static_cast<int>(::read(*static_cast<int*>(file), part, length));
}

int next_hole(virStreamPtr, int* in_data, long long* length, void* opaque) {
    const int file = *static_cast<int*>(opaque);
    const off_t here = ::lseek(file, 0, SEEK_CUR);
    off_t end = ::lseek(file, here, SEEK_DATA);
    *in_data = end == here ? 1 : 0;
    if (end == here) end = ::lseek(file, here, SEEK_HOLE);
    if (end < 0 && errno != ENXIO) return -1;
    if (end < 0) end = ::lseek(file, 0, SEEK_END);
    *length = end - here;
    return ::lseek(file, here, SEEK_SET) < 0 ? -1 : 0;
}

int skip_hole(virStreamPtr, long long length, void* file) { return ::lseek(*static_cast<int*>(file), length, SEEK_CUR) < 0 ? -1 : 0; }

Result<> upload(virConnectPtr connection, const Volume& volume, int file, std::uint64_t bytes, const std::string& name) {
    const Stream stream(virStreamNew(connection, 0));
    if (!stream || virStorageVolUpload(volume.get(), stream.get(), 0, bytes, VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM) != 0) {
        return volume_failure("write", name);
    }
    if (virStreamSparseSendAll(stream.get(), next_part, next_hole, skip_hole, &file) != 0) {
        auto problem = volume_failure("write", name);
        virStreamAbort(stream.get());
        return problem;
    }
    if (virStreamFinish(stream.get()) != 0) return volume_failure("write", name);
    return {};
}

bool exists(virStoragePoolPtr pool, const std::string& name) { return Volume(virStorageVolLookupByName(pool, name.c_str())) != nullptr; }

/// Other contents of the same name, half-brought ones included.
void remove_earlier(virStoragePoolPtr pool, const std::string& name, const std::string& present) {
    virStorageVolPtr* handles = nullptr;
    const int count = virStoragePoolListAllVolumes(pool, &handles, 0);
    for (int i = 0; i < count; ++i) {
        const Volume volume(handles[i]);
        const std::string other = virStorageVolGetName(volume.get());
        if (other.starts_with(name + ".") && !other.starts_with(present)) virStorageVolDelete(volume.get(), 0);
    }
    std::free(handles);
}

}  // namespace

HostVolumes::HostVolumes(std::string cluster) : cluster_(std::move(cluster)) {}

Result<HostVolumes::Pool> HostVolumes::pool(virConnectPtr connection) const {
    const std::string name = "understudy-" + cluster_;
    Pool pool(virStoragePoolLookupByName(connection, name.c_str()));
    if (pool) return pool;
    // Transient: nothing of ours stays in the host's configuration; the files are found again by the path.
    const std::string xml = "<pool type='dir'><name>" + escape_xml(name) + "</name><target><path>" + kHome + escape_xml(cluster_) +
                            "</path><permissions><mode>0711</mode></permissions></target></pool>";
    pool.reset(virStoragePoolCreateXML(connection, xml.c_str(), VIR_STORAGE_POOL_CREATE_WITH_BUILD));
    if (!pool) {  // somebody else may have been first
        std::string words = libvirt_words();
        pool.reset(virStoragePoolLookupByName(connection, name.c_str()));
        if (!pool) return failure(ErrorCode::failed, "cannot make a storage pool for instances at " + (kHome + cluster_) + " on the host: " + words);
    }
    return pool;
}

Result<std::string> HostVolumes::bring(virConnectPtr connection, const KnownFile& file, const std::string& name) {
    const std::lock_guard lock(bringing_);
    const auto place = pool(connection);
    if (!place) return tl::unexpected(place.error());
    const std::string full_name = name + "." + file.digest.substr(0, kDigestLetters);
    if (exists(place->get(), full_name + kWholeSuffix)) {
        const Volume volume(virStorageVolLookupByName(place->get(), full_name.c_str()));
        if (volume) return path_of(volume);
    }
    remove_earlier(place->get(), name, full_name + kWholeSuffix);
    const UniqueFd source(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat facts {};
    if (!source || ::fstat(source.get(), &facts) != 0) return system_failure("read " + file.path);
    const auto bytes = static_cast<std::uint64_t>(facts.st_size);
    auto volume = make_afresh(place->get(), full_name, bytes, "raw");
    if (!volume) return tl::unexpected(volume.error());
    auto whole = upload(connection, *volume, source.get(), bytes, full_name).and_then([&] {
        return make_afresh(place->get(), full_name + kWholeSuffix, 1, "raw").map([](const Volume&) {});
    });
    if (!whole) return tl::unexpected(whole.error());
    return path_of(*volume);
}

Result<std::string> HostVolumes::make_overlay(virConnectPtr connection, NodeId id, const std::string& base, std::uint64_t bytes) {
    const auto place = pool(connection);
    if (!place) return tl::unexpected(place.error());
    const std::string over = "<backingStore><path>" + escape_xml(base) + "</path><format type='raw'/></backingStore>";
    return make_afresh(place->get(), volume_name(id, "disk.qcow2"), bytes, "qcow2", over).map(path_of);
}

Result<std::string> HostVolumes::make_seed(virConnectPtr connection, NodeId id, const std::string& text) {
    const auto place = pool(connection);
    if (!place) return tl::unexpected(place.error());
    const std::string name = volume_name(id, "seed.img");
    const auto volume = make_afresh(place->get(), name, text.size(), "raw");
    if (!volume) return tl::unexpected(volume.error());
    const Stream stream(virStreamNew(connection, 0));
    if (!stream || virStorageVolUpload(volume->get(), stream.get(), 0, text.size(), 0) != 0) return volume_failure("write", name);
    for (std::size_t done = 0; done < text.size();) {
        const int sent = virStreamSend(stream.get(), text.data() + done, text.size() - done);
        if (sent < 0) {
            auto problem = volume_failure("write", name);
            virStreamAbort(stream.get());
            return problem;
        }
        done += static_cast<std::size_t>(sent);
    }
    if (virStreamFinish(stream.get()) != 0) return volume_failure("write", name);
    return path_of(*volume);
}

Result<std::string> HostVolumes::make_console(virConnectPtr connection, NodeId id) {
    const auto place = pool(connection);
    if (!place) return tl::unexpected(place.error());
    return make_afresh(place->get(), volume_name(id, "console.log"), 1, "raw").map(path_of);
}

Result<> HostVolumes::remove(virConnectPtr connection, NodeId id) {
    const auto place = pool(connection);
    if (!place) return tl::unexpected(place.error());
    Result<> outcome;
    for (const char* own : kOwnVolumes) {
        if (auto removed = remove_volume(place->get(), volume_name(id, own)); !removed) outcome = removed;
    }
    return outcome;
}

}  // namespace understudy::manager
