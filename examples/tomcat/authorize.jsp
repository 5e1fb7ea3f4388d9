<%@ page contentType="application/json" session="false" trimDirectiveWhitespaces="true" %>
<%
    // Holdfast asks here, with the cookies of the client, before it holds one on a private channel.
    HttpSession session = request.getSession(false);
    String user = session == null ? null : (String) session.getAttribute("user");
    if (user == null) {
        response.sendError(403);
        return;
    }
    out.print("{\"user\": \"" + user.replace("\\", "\\\\").replace("\"", "\\\"") + "\"}");
%>
