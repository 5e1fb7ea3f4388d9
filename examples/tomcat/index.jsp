<%@ page contentType="text/html; charset=UTF-8" trimDirectiveWhitespaces="true" %>
<%
    request.setCharacterEncoding("UTF-8");
    if (request.getParameter("user") != null) session.setAttribute("user", request.getParameter("user"));
    String user = (String) session.getAttribute("user");
%>
<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>News</title>
<h1>News</h1>
<% if (user != null) { %>
<p>Hello <%= user.replace("&", "&amp;").replace("<", "&lt;") %>, you also get the news for members.</p>
<% } else { %>
<form method="post"><input name="user" placeholder="your name" required> <button>log in</button></form>
<% } %>
<form id="publish"><input name="text" placeholder="something new" required> <button>publish</button></form>
<ul id="news"></ul>
<script>
// Holdfast holds this request; the app hears of it only to authorize the members' channel.
const channels = "channel=public.news<%= user != null ? "&channel=private.members" : "" %>";
new EventSource("<%= request.getContextPath() %>/_push?" + channels).onmessage = e => {
  const item = document.createElement("li");
  item.textContent = e.data;
  document.getElementById("news").prepend(item);
};
document.getElementById("publish").onsubmit = e => {
  e.preventDefault();
  fetch("publish.jsp", {method: "POST", body: new URLSearchParams(new FormData(e.target))});
  e.target.reset();
};
</script>
