#include <ww/node/metrics.h>

#include <limits>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sstream>

namespace ww {
namespace {

class Families {
 public:
  void gauge(const char* name, const char* help, double value) {
    prometheus::ClientMetric metric;
    metric.gauge.value = value;
    add(name, help, prometheus::MetricType::Gauge).metric.push_back(std::move(metric));
  }

  // With its only label.
  void info(const char* name, const char* help, const char* label, kj::StringPtr value) {
    gauge(name, help, 1);
    all.back().metric.back().label.push_back({label, value.cStr()});
  }

  void hits(const LimitHits& hits) {
    auto& family = add("ww_limit_hits_total", "How often cells and clients hit a limit.",
                       prometheus::MetricType::Counter);
    for (size_t i = 0; i < LIMIT_KINDS; i++) {
      prometheus::ClientMetric metric;
      metric.label.push_back({"kind", nameOf(LimitKind(i)).cStr()});
      metric.counter.value = double(hits.count(LimitKind(i)));
      family.metric.push_back(std::move(metric));
    }
  }

  // Where epochs come from, if it is a chain.
  void chain(const StemFollower& follower) {
    auto status = follower.getStatus();
    gauge("ww_epoch_lag_blocks", "Blocks between the latest and the last that was acted upon.",
          double(status.latest - kj::min(status.latest, status.final)));
    gauge("ww_epoch_final_block", "The last block that was acted upon.", double(status.final));
    gauge("ww_epoch_ready", "1: nothing is known against the view of the chain.",
          status.problem == nullptr);
    kj::uint answering = 0;
    for (auto& provider: status.providers) answering += provider.state == ProviderStatus::ANSWERS;
    gauge("ww_epoch_providers", "Providers of the chain.", double(status.providers.size()));
    gauge("ww_epoch_providers_good", "Those that answer and vote, and disagree with no quorum.",
          answering);
    counter("ww_epoch_provider_disagreements_total", "How often one disagreed with the others.",
            double(follower.disagreementCount()));
    latencies(follower.getLatencies());
  }

  kj::String toText() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, all);
    auto text = out.str();
    return kj::heapString(text.data(), text.size());
  }

 private:
  std::vector<prometheus::MetricFamily> all;

  void counter(const char* name, const char* help, double value) {
    prometheus::ClientMetric metric;
    metric.counter.value = value;
    add(name, help, prometheus::MetricType::Counter).metric.push_back(std::move(metric));
  }

  void latencies(const LatencyCounts& counts) {
    prometheus::ClientMetric metric;
    uint64_t sum = 0;
    for (size_t i = 0; i < counts.counts.size(); i++) {
      sum += counts.counts[i];
      bool isLast = i == std::size(LatencyCounts::BOUNDS);
      metric.histogram.bucket.push_back(
          {sum, isLast ? std::numeric_limits<double>::infinity() : LatencyCounts::BOUNDS[i]});
    }
    metric.histogram.sample_count = sum;
    metric.histogram.sample_sum = counts.sum;
    add("ww_epoch_revocation_seconds",
        "From when a quorum had reached a block not yet acted upon to the adoption of its head.",
        prometheus::MetricType::Histogram).metric.push_back(std::move(metric));
  }

  prometheus::MetricFamily& add(const char* name, const char* help, prometheus::MetricType type) {
    all.emplace_back();
    auto& family = all.back();
    family.name = name;
    family.help = help;
    family.type = type;
    return family;
  }
};

}  // namespace

kj::String NodeMetrics::toText() {
  Families families;
  families.info("ww_build_info", "The version that runs.", "version", version);
  families.gauge("ww_epoch_current", "The sequence number of the current epoch.",
                 double(node.getHeadWatch().seq()));
  KJ_IF_MAYBE(follower, node.findFollower()) families.chain(*follower);
  families.gauge("ww_cells", "Cells that run.", node.getEngine().guestCount());
  families.gauge("ww_loops", "Event loops that they run on.", node.getLoads().loopCount());
  families.gauge("ww_cells_memory_bytes", "Linear memory of the cells that run.",
                 double(node.getMemory()));
  families.gauge("ww_sessions", "Sessions that stand.", double(node.sessionCount()));
  families.gauge("ww_links", "Links of clients, the owner's among them.", double(clients.count()));
  families.gauge("ww_links_ungrafted", "Those that have not grafted yet.",
                 double(clients.ungraftedCount()));
  families.gauge("ww_links_queued", "Links that wait for their turn.",
                 double(clients.queuedCount()));
  families.gauge("ww_peers", "Connected peers.", double(swarm.getPeers().size()));
  families.hits(node.getHits());
  return families.toText();
}

}  // namespace ww
