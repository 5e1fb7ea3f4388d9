// The page's part: what comes is the whole parcel, so it replaces what is shown.
push.on("message", function (m) {
  var list = document.getElementById("stops");
  list.innerHTML = "";
  m.data.stops.forEach(function (stop) {
    var item = list.appendChild(document.createElement("li"));
    item.appendChild(document.createElement("time")).textContent = stop.at;
    item.appendChild(document.createTextNode(" "));
    item.appendChild(document.createElement("span")).textContent = stop.text;
  });
});
push.on("state", function (s) {
  document.getElementById("light").className = s.reason === "refused" ? "out" : s.state;
  document.getElementById("word").textContent = s.reason === "refused" ? "Logged out. Load this page again to log in." :
    { connecting: "Connecting…", live: "Live", waiting: "Reconnecting…", offline: "Offline" }[s.state];
  // What a logged-out user's other tabs still show is no longer for everybody's eyes.
  document.body.className = s.reason === "refused" ? "out" : "";
});
