// See standby.hpp.
#include "nodes/execution/standby.hpp"

#include "nodes/execution/session_tree.hpp"

namespace understudy::node {

Standby::Standby(Ground& ground, SessionId session, CheckpointStore& store, Worker& worker, std::string tree_root, std::function<void()> on_changed)
    : ground_(ground), session_(session), store_(store), worker_(worker), on_changed_(std::move(on_changed)),
      tree_(std::make_shared<PreparedTree>(PreparedTree{std::move(tree_root), {}})) {}

Standby::~Standby() { stop(); }

void Standby::stop() {
    ++stream_;
    if (receiver_) ground_.dispose(std::move(receiver_));
    if (auto gone = std::exchange(on_gone_, {})) gone();
}

void Standby::accept(Descriptor socket, Epoch epoch, std::function<void()> on_gone) {
    stop();
    on_gone_ = std::move(on_gone);
    const auto stream = stream_;
    std::function<void(const CheckpointMeta&)> stored = lifeline_.bind([this, stream](const CheckpointMeta& meta) {
        if (stream == stream_) note_stored(meta);
    });
    std::function<void(const std::string&)> ended = lifeline_.bind([this, stream](const std::string& why) {
        if (stream != stream_) return;
        ground_.log("session=" + to_string(session_) + " checkpoint stream ended: " + why);
        stop();
    });
    auto& loop = ground_.loop;
    ReceiverTask task{session_, epoch, store_.folder(), store_.ids()};
    receiver_ = std::make_unique<CheckpointReceiver>(
        std::move(socket), std::move(task), [&loop, stored](const CheckpointMeta& meta) { loop.post([stored, meta] { stored(meta); }); },
        [&loop, ended](const std::string& why) { loop.post([ended, why] { ended(why); }); });
}

void Standby::note_stored(const CheckpointMeta& meta) {
    store_.add(meta);
    ground_.services.log("debug", "session=" + to_string(session_) + " holds checkpoint " + folder_of(meta.info.id));
    on_changed_();
    auto& ground = ground_;
    worker_.run([tree = tree_, chain = store_.chain(meta.info.id), folder = store_.folder(), session = session_, &ground] {
        const StepAside aside;  // ahead of time: whoever works on this node comes first
        auto prepared = prepare_tree(*tree, chain, folder);
        if (prepared) {
            *tree = std::move(*prepared);
            return;
        }
        tree->version.reset();
        ground.loop.post([&ground, session, words = prepared.error().message] {
            ground.warn("session=" + to_string(session) + " files of a checkpoint were not unpacked ahead: " + words);
        });
    });
    // Behind the unpacking, which may still read them.
    for (auto& folder : store_.take_superfluous()) worker_.run([folder] { remove_tree(folder); });
}

}  // namespace understudy::node
