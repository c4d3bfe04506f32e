#include <ww/node/metrics.h>

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

  kj::String toText() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, all);
    auto text = out.str();
    return kj::heapString(text.data(), text.size());
  }

 private:
  std::vector<prometheus::MetricFamily> all;

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
  families.gauge("ww_epoch", "The sequence number of the current epoch.",
                 double(node.getHeadWatch().seq()));
  families.gauge("ww_cells", "Cells that run.", node.getEngine().guestCount());
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
